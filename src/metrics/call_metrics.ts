import type { DescMethod } from "@bufbuild/protobuf";
import type { Code, Interceptor } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";

type AnyFn = ReturnType<Interceptor>;

/**
 * Takes in the calls that a server has answered, to be counted. It is told of
 * every call: `ended` may not cost more than a microsecond, or throw.
 */
export interface CallMetrics {
  /** A time in ms that never goes back, to tell durations by. */
  clock(): number;
  /**
   * A call has ended: it was answered, or its caller has gone.
   *
   * @param end `code` is undefined when all was well
   */
  ended(
    method: DescMethod,
    end: { readonly code: Code | undefined; readonly startedAtMs: number },
  ): void;
}

/** Counts nothing. */
export const NO_CALL_METRICS: CallMetrics = { clock: () => 0, ended() {} };

/** Counts calls that go through a router; a stream when it ends. */
export function countCalls(metrics: CallMetrics): Interceptor {
  return (next: AnyFn): AnyFn => async (request) => {
    const { method } = request;
    const startedAtMs = metrics.clock();
    const end = (code: Code | undefined) =>
      metrics.ended(method, { code, startedAtMs });
    try {
      const response = await next(request);
      if (response.stream) {
        return { ...response, message: countStream(response.message, end) };
      }
      end(undefined);
      return response;
    } catch (error) {
      end(ConnectError.from(error).code);
      throw error;
    }
  };
}

async function* countStream<T>(
  messages: AsyncIterable<T>,
  end: (code: Code | undefined) => void,
): AsyncIterable<T> {
  let code: Code | undefined;
  try {
    yield* messages;
  } catch (error) {
    code = ConnectError.from(error).code;
    throw error;
  } finally {
    end(code);
  }
}
