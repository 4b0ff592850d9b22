import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import {
  ServerReflection as ReflectionV1,
  type ServerReflectionRequest as RequestV1,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as ReflectionV1alpha,
  type ServerReflectionRequest as RequestV1alpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import {
  createDescriptorIndex,
  type DescriptorIndex,
} from "./descriptor_index.ts";

type Question = RequestV1["messageRequest"] | RequestV1alpha["messageRequest"];

/** An answer: the same fields in both versions of the protocol. */
type Answer =
  | {
    readonly case: "fileDescriptorResponse";
    readonly value: { readonly fileDescriptorProto: Uint8Array[] };
  }
  | {
    readonly case: "allExtensionNumbersResponse";
    readonly value: {
      readonly baseTypeName: string;
      readonly extensionNumber: number[];
    };
  }
  | {
    readonly case: "listServicesResponse";
    readonly value: { readonly service: { readonly name: string }[] };
  }
  | {
    readonly case: "errorResponse";
    readonly value: {
      readonly errorCode: number;
      readonly errorMessage: string;
    };
  };

/** Describes the services of a server, so that clients need no proto files. */
export interface Reflection {
  /** Registers grpc.reflection.v1 and v1alpha. */
  routes(router: ConnectRouter): void;
}

/**
 * Makes the reflection of a server that has these services; they are asked
 * for with the first question.
 *
 * A question that has no answer gets an error as its answer, and the stream
 * goes on (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md).
 */
export function createReflection(
  services: () => Iterable<DescService>,
): Reflection {
  let index: DescriptorIndex | undefined;

  async function* answers<R extends RequestV1 | RequestV1alpha>(
    requests: AsyncIterable<R>,
  ) {
    index ??= createDescriptorIndex(services());
    const sent = new Set<DescFile>();
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(index, request.messageRequest, sent),
      };
    }
  }

  return {
    routes(router) {
      router.service(ReflectionV1, {
        serverReflectionInfo: (requests) => answers<RequestV1>(requests),
      });
      router.service(ReflectionV1alpha, {
        serverReflectionInfo: (requests) => answers<RequestV1alpha>(requests),
      });
    },
  };
}

function answer(
  index: DescriptorIndex,
  question: Question,
  sent: Set<DescFile>,
): Answer {
  switch (question.case) {
    case "listServices":
      return {
        case: "listServicesResponse",
        value: { service: index.services.map((name) => ({ name })) },
      };
    case "fileByFilename":
      return fileAnswer(
        index.files.get(question.value),
        `file ${JSON.stringify(question.value)}`,
        sent,
      );
    case "fileContainingSymbol":
      return fileAnswer(
        index.symbols.get(question.value),
        `symbol ${JSON.stringify(question.value)}`,
        sent,
      );
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      return fileAnswer(
        index.extensions.get(containingType)?.get(extensionNumber),
        `extension ${extensionNumber} of ${JSON.stringify(containingType)}`,
        sent,
      );
    }
    case "allExtensionNumbersOfType": {
      const name = question.value;
      if (!index.messages.has(name)) {
        return refusal(Code.NotFound, `no message ${JSON.stringify(name)}`);
      }
      return {
        case: "allExtensionNumbersResponse",
        value: {
          baseTypeName: name,
          extensionNumber: [...index.extensions.get(name)?.keys() ?? []],
        },
      };
    }
    default:
      return refusal(Code.InvalidArgument, "the request asks for nothing");
  }
}

/** A file, and of those it needs the ones that this stream has not had yet. */
function fileAnswer(
  file: DescFile | undefined,
  what: string,
  sent: Set<DescFile>,
): Answer {
  if (!file) return refusal(Code.NotFound, `no ${what}`);
  sent.delete(file);
  const files: Uint8Array[] = [];
  const add = (file: DescFile) => {
    if (sent.has(file)) return;
    sent.add(file);
    files.push(toBinary(FileDescriptorProtoSchema, file.proto));
    file.dependencies.forEach(add);
  };
  add(file);
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: files },
  };
}

function refusal(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
