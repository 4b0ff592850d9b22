import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import {
  type FindResponse,
  FoundKind,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { formatAddress } from "../../../net/address.ts";
import { formatPrefix, type Prefix } from "../../../net/prefix.ts";
import { clusterApi, explainError } from "../api.ts";
import { linkTo } from "../router.ts";
import { SLICE_LOOKS } from "../plan/palette.ts";
import type { Slice } from "../plan/slices.ts";
import { isAddress, nameOf } from "../plan/space_text.ts";
import { AgoMs, At } from "./time.tsx";

/** Former holders of an address to show. */
const HISTORY = 10;
/** A walk with the arrow keys asks nobody. */
const PAUSE_MS = 250;

/** What is known of the chosen cell. */
export function SpaceDetails(
  { text, prefix, slice }: {
    readonly text: string | undefined;
    readonly prefix: Prefix | undefined;
    readonly slice: Slice | undefined;
  },
): JSX.Element {
  return (
    <aside class="space-details" aria-label="Details">
      {!prefix
        ? (
          <p class="aside">
            Choose a cell. Enter or a double click goes into it, Backspace goes
            out.
          </p>
        )
        : (
          <>
            <h2>{nameOf(prefix)}</h2>
            <p>{text}</p>
            {!isAddress(prefix) && (
              <p>
                <a href={linkTo("space", { prefix: formatPrefix(prefix) })}>
                  Look inside
                </a>
              </p>
            )}
            {slice?.node && (
              <p>
                {"Host "}
                <a href={linkTo("host", { name: slice.node })}>{slice.node}</a>
              </p>
            )}
            {slice?.sinceMs !== undefined && (
              <p>
                {SLICE_LOOKS[slice.state].label} since{" "}
                <AgoMs ms={slice.sinceMs} />
              </p>
            )}
            {isAddress(prefix) && <Holders address={formatAddress(prefix)} />}
          </>
        )}
    </aside>
  );
}

/** The present and former holders of an address. */
function Holders({ address }: { readonly address: string }): JSX.Element {
  const [answer, setAnswer] = useState<FindResponse | string | undefined>();
  useEffect(() => {
    setAnswer(undefined);
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      const { signal } = stop;
      try {
        const request = { what: address, history: HISTORY };
        const found = await clusterApi.find(request, { signal });
        if (!signal.aborted) setAnswer(found);
      } catch (error) {
        if (!signal.aborted) setAnswer(explainError(error));
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [address]);
  if (answer === undefined) return <p class="aside">Looking for holders…</p>;
  if (typeof answer === "string") {
    return (
      <p class="aside is-warning">{`Its holders are not known: ${answer}`}</p>
    );
  }
  const found = answer.found.filter(({ kind }) =>
    kind === FoundKind.ALLOCATION || kind === FoundKind.HISTORY
  );
  return (
    <>
      <h3>Holders</h3>
      {found.length === 0 && <p>Nobody has held it, as far as is known.</p>}
      <ol class="holders">
        {found.map(({ text, since, until, allocation }) => (
          <li key={text + since?.seconds}>
            <p>{text}</p>
            {allocation?.leak && (
              <p class="problem">
                {`It seems to be leaked: ${allocation.leak}`}
              </p>
            )}
            <p class="aside">
              {since && (
                <>
                  from <At at={since} />
                </>
              )} {until && (
                <>
                  to <At at={until} />
                </>
              )}
            </p>
          </li>
        ))}
      </ol>
      {answer.silentNodes.length > 0 && (
        <p class="aside is-warning">
          {`No answer from ${answer.silentNodes.join(", ")}.`}
        </p>
      )}
    </>
  );
}
