import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Call } from "../framework/call.ts";
import { type Authority, CLIENT_FLAGS } from "../framework/client.ts";
import { parseDuration, parseSwitch } from "../framework/flags.ts";
import type { CommandSpec, Flag } from "../framework/spec.ts";
import { formatColumns } from "../framework/table.ts";
import { formatUtc } from "../framework/text.ts";
import { viewTime } from "../framework/views.ts";

const ANNOUNCE: Flag<number> = {
  name: "announce",
  value: "DURATION",
  description: "how long hosts are told of the next authority before it signs",
  defaultNote: "30d",
  parse: parseDuration,
};

const OVERLAP: Flag<number> = {
  name: "overlap",
  value: "DURATION",
  description: "how long what the one before signed is accepted after that",
  defaultNote: "as long as certificates last, and a day",
  parse: parseDuration,
};

const COMPROMISED: Flag<boolean> = {
  name: "compromised",
  description:
    "somebody else may have the key: distrust at once all that it signed",
  parse: parseSwitch,
};

/** An authority, as `--json` prints it. */
interface AuthorityView {
  readonly generation: number;
  readonly fingerprint: string;
  readonly signsFrom: string | null;
  readonly trustedUntil: string | null;
}

export const ROTATE: CommandSpec = {
  name: "rotate",
  summary: "Replace the authority that signs certificates, with no pause",
  action: "rotate the authority",
  flags: [ANNOUNCE, OVERLAP, COMPROMISED, ...CLIENT_FLAGS],
  examples: [
    "stellar-net identity rotate",
    "stellar-net identity rotate --announce 30m --overlap 7d",
  ],
  run: async (call) => {
    const announceMs = call.value(ANNOUNCE);
    const overlapMs = call.value(OVERLAP);
    const compromised = call.value(COMPROMISED) ?? false;
    const given = [ANNOUNCE, OVERLAP].find((flag) => call.given(flag));
    if (compromised && given) {
      throw call.usage(
        `${call.originOf(given)} does not go with --compromised, ` +
          "which waits for nobody: remove one of the two",
      );
    }
    const { identity } = call.clients();
    const { next } = await identity.rotateAuthority({
      compromised,
      ...announceMs !== undefined && { announce: durationFromMs(announceMs) },
      ...overlapMs !== undefined && { overlap: durationFromMs(overlapMs) },
    });
    const made = viewAuthority(next!);
    if (compromised) {
      call.answer({ next: made, before: null }, [
        `Made authority ${made.generation}, ${made.fingerprint}: it signs, and nothing that was signed before is accepted any more`,
      ]);
      call.note(
        "Every other host joins again with a new token in the file of its --token-file: stellar-net token create; operators make their identities anew",
      );
      return;
    }
    const { trust } = await identity.getTrust({});
    const before = trust?.authorities.map(viewAuthority)
      .find(({ generation }) => generation === made.generation - 1);
    call.answer(
      { next: made, before: before ?? null },
      describe(call, made, before),
    );
    call.note(
      "Who does not hear of it before it signs joins again with a new token: a host that is off, an identity that is not used until then; --announce gives them time",
    );
  },
};

/** What happens when. */
function describe(
  call: Call,
  next: AuthorityView,
  before: AuthorityView | undefined,
): string[] {
  const now = formatUtc(new Date(call.io.now()).toISOString());
  return [
    `Made authority ${next.generation}, ${next.fingerprint}:`,
    ...formatColumns([
      [`  ${now}`, "hosts are told of it, and trust it from then on"],
      [
        `  ${formatUtc(next.signsFrom)}`,
        "it signs, and hosts renew their certificates by themselves; tokens made before that let nobody in for long",
      ],
      ...before
        ? [[
          `  ${formatUtc(before.trustedUntil)}`,
          `what authority ${before.generation} signed is not accepted any more`,
        ]]
        : [],
    ]),
  ];
}

function viewAuthority(message: Authority): AuthorityView {
  return {
    generation: message.generation,
    fingerprint: message.fingerprint,
    signsFrom: viewTime(message.signsFrom),
    trustedUntil: viewTime(message.trustedUntil),
  };
}
