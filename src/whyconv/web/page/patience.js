/** Where the server has too much to do, it says when to come again: it is asked again, for a while. */

import { ApiError } from "./api.js";

const MOST_TIMES = 10;
/** Seconds, whatever a server in between says. */
const LONGEST = 5;

/**
 * @template Answer
 * @param {() => Promise<Answer>} ask
 * @param {() => boolean} [isWanted] Whether the answer is still waited for.
 * @returns {Promise<Answer>}
 */
export async function patiently(ask, isWanted = () => true) {
  for (let times = 1; ; times++) {
    try {
      return await ask();
    } catch (error) {
      const seconds = error instanceof ApiError ? error.retryAfter : null;
      if (seconds === null || times === MOST_TIMES || !isWanted()) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, LONGEST)));
    }
  }
}
