/** One question at a time: while one is being answered, only the newest of the next is kept. */

/**
 * @template {any[]} Arguments
 * @param {string} name Under which the time from the wish to what is seen is kept, as `whyconv:name`.
 * @param {(...wanted: Arguments) => Promise<void>} work
 * @param {(error: unknown) => void} trouble Hears what went wrong.
 * @returns {(...wanted: Arguments) => void}
 */
export function paced(name, work, trouble) {
  /** @type {{wanted: Arguments, start: number} | null} */
  let next = null;
  let isBusy = false;

  async function go() {
    isBusy = true;
    while (next !== null) {
      const { wanted, start } = next;
      next = null;
      try {
        await work(...wanted);
        note(name, start);
      } catch (error) {
        if (next === null) trouble(error); // else the newer question says how things are
      }
    }
    isBusy = false;
  }

  return (...wanted) => {
    next = { wanted, start: performance.now() };
    if (!isBusy) void go();
  };
}

/**
 * Keeps how long the last interaction of a name took: seen by the browser's own tools, and by the tests.
 * @param {string} name
 * @param {number} start
 */
export function note(name, start) {
  performance.clearMeasures(`whyconv:${name}`);
  performance.measure(`whyconv:${name}`, { start });
}
