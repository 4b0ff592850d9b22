import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import {
  type Problem,
  Severity,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import {
  countByHost,
  describeGroup,
  groupProblems,
  type ProblemGroup,
} from "../plan/problem_groups.ts";
import { linkTo } from "../router.ts";
import { moveWithArrows } from "./arrows.ts";
import { Command } from "./command.tsx";
import { ConditionMark } from "./marks.tsx";
import { More } from "./table.tsx";

/** From how many problems of one kind on they are one line, which opens. */
const MANY = 4;
/** Hosts that a line of problems names. */
const MOST_NAMES = 8;
/** Problems that are shown at first. */
const FIRST = 20;

/** Problems with their fixes, in the given order; those of one kind together. */
export function Problems({ problems, isOfOneHost = false }: {
  readonly problems: readonly Problem[];
  /** Whether they are those of one host, which then is not named. */
  readonly isOfOneHost?: boolean;
}): JSX.Element {
  return (
    <ul class="problems" onKeyDown={moveWithArrows}>
      {groupProblems(problems).map((group) =>
        group.problems.length >= MANY
          ? <Group key={keyOf(group.problems[0]!)} group={group} />
          : group.problems.map((problem) => (
            <Item
              key={keyOf(problem)}
              problem={problem}
              hasName={!isOfOneHost}
            />
          ))
      )}
    </ul>
  );
}

/** Many problems of one kind: what they are and where, and each when it is opened. */
function Group({ group }: { readonly group: ProblemGroup }): JSX.Element {
  const shown = useSignal(FIRST);
  const { problems } = group;
  const hosts = countByHost(problems);
  const rest = problems.length - shown.value;
  return (
    <li class={classOf(problems[0]!)}>
      <details>
        <summary data-item>
          <ConditionMark condition={conditionOf(problems[0]!)} />
          <b>{describeGroup(group)}</b>
        </summary>
        <ul class="problems">
          {problems.slice(0, shown.value).map((problem) => (
            <Item key={keyOf(problem)} problem={problem} hasName />
          ))}
        </ul>
        {rest > 0 && (
          <More onClick={() => shown.value += 10 * FIRST}>
            Show {Math.min(rest, 10 * FIRST)} more of {problems.length}
          </More>
        )}
      </details>
      <p class="hosts">
        {hosts.slice(0, MOST_NAMES).map(([name, count]) => (
          <a key={name} data-item href={linkTo("host", { name })}>
            {name}
            {count > 1 && ` (${count})`}
          </a>
        ))}
        {hosts.length > MOST_NAMES && (
          <span class="aside">and {hosts.length - MOST_NAMES} more hosts</span>
        )}
      </p>
    </li>
  );
}

function Item({ problem, hasName }: {
  readonly problem: Problem;
  readonly hasName: boolean;
}): JSX.Element {
  const { node, text, fix } = problem;
  return (
    <li class={classOf(problem)}>
      <p>
        <ConditionMark condition={conditionOf(problem)} />
        {hasName && (
          <a data-item href={linkTo("host", { name: node })}>{node}</a>
        )}
        <span class="text">{text}</span>
      </p>
      {fix !== "" && (
        <p class="fix">
          <span>Fix</span> <Command text={fix} />
        </p>
      )}
    </li>
  );
}

function conditionOf({ severity }: Problem): "error" | "warning" {
  return severity === Severity.ERROR ? "error" : "warning";
}

function classOf(problem: Problem): string {
  return `is-${conditionOf(problem)}`;
}

function keyOf({ node, code, subject, text }: Problem): string {
  return [node, code, subject, text].join("\n");
}
