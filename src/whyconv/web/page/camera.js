/** One picture from the camera. */

import { button, element } from "./elements.js";

/**
 * @param {import("./main.js").Context} context
 * @param {(file: File) => void} take
 * @param {AbortSignal} signal Ends the camera.
 * @returns {HTMLElement}
 */
export function camera({ texts, trouble }, take, signal) {
  const { say } = texts;
  const video = element("video", { muted: true, playsinline: true, "aria-label": say("page_camera_sees") });
  /** @type {MediaStream | null} */
  let stream = null;

  async function open() {
    if (!navigator.mediaDevices) throw new Error(say("page_no_camera"));
    stop();
    const found = await navigator.mediaDevices.getUserMedia({ video: true }).catch(() => {
      throw new Error(say("page_no_camera"));
    });
    stop(); // one that was opened meanwhile
    stream = found;
    if (signal.aborted) return stop();
    video.srcObject = stream;
    await video.play();
    dialog.hidden = false;
    shoot.focus();
  }

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
  }

  function close() {
    stop();
    video.srcObject = null;
    dialog.hidden = true;
    opener.focus();
  }

  async function shot() {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    take(new File([await canvas.convertToBlob()], say("page_camera"), { type: "image/png" }));
    close();
  }

  signal.addEventListener("abort", stop);
  const opener = button(say("page_camera"), () => void open().catch(trouble));
  const shoot = button(say("page_camera_take"), () => void shot().catch(trouble));
  const row = element("div", { class: "row" }, shoot, button(say("page_camera_close"), close));
  const dialog = element("div", { class: "camera", hidden: true }, video, row);
  return element("div", { class: "camera-box" }, opener, dialog);
}
