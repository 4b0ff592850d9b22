import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import {
  type Problem,
  Severity,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { linkTo } from "../router.ts";
import { moveWithArrows } from "./arrows.ts";
import { Command } from "./command.tsx";
import { ConditionMark } from "./marks.tsx";

/** Problems that are shown at first. */
const FIRST = 20;

/** Problems with their fixes, in the given order. */
export function Problems({ problems, isOfOneHost = false }: {
  readonly problems: readonly Problem[];
  /** Whether they are those of one host, which then is not named. */
  readonly isOfOneHost?: boolean;
}): JSX.Element {
  const shown = useSignal(FIRST);
  const rest = problems.length - shown.value;
  return (
    <>
      <ul class="problems" onKeyDown={moveWithArrows}>
        {problems.slice(0, shown.value).map((problem) => (
          <li
            key={`${problem.node} ${problem.code} ${problem.subject}`}
            class={isError(problem) ? "is-error" : "is-warning"}
          >
            <p>
              <ConditionMark
                condition={isError(problem) ? "error" : "warning"}
              />
              {!isOfOneHost && (
                <a data-item href={linkTo("host", { name: problem.node })}>
                  {problem.node}
                </a>
              )}
              <span class="text">{problem.text}</span>
            </p>
            {problem.fix !== "" && (
              <p class="fix">
                <span>Fix</span> <Command text={problem.fix} />
              </p>
            )}
          </li>
        ))}
      </ul>
      {rest > 0 && (
        <button
          type="button"
          class="more"
          onClick={() => shown.value += 10 * FIRST}
        >
          Show {Math.min(rest, 10 * FIRST)} more of {problems.length} problems
        </button>
      )}
    </>
  );
}

function isError({ severity }: Problem): boolean {
  return severity === Severity.ERROR;
}
