import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
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

/** Describes the services of a server to clients without proto files. */
export interface Reflection {
  /** Registers grpc.reflection.v1 and v1alpha. */
  routes(router: ConnectRouter): void;
}

/** Makes the reflection of a server. It reads the services at the first request.
 *
 * A request without a result gets an error as its answer, and the stream goes on (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md).
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

/** A file, and those of its imports that this stream has not been sent. */
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

/** The descriptors of the services of a server, by name. */
export interface DescriptorIndex {
  /** Full names of the services, sorted. */
  readonly services: readonly string[];
  /** Files by path. */
  readonly files: ReadonlyMap<string, DescFile>;
  /** Files by the full names of what they declare. */
  readonly symbols: ReadonlyMap<string, DescFile>;
  /** Files of extensions, by the full name of the message and the number. */
  readonly extensions: ReadonlyMap<string, ReadonlyMap<number, DescFile>>;
  /** Full names of the messages. */
  readonly messages: ReadonlySet<string>;
}

/** Indexes services, the files that declare them, and all files that those import. */
function createDescriptorIndex(
  services: Iterable<DescService>,
): DescriptorIndex {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  const messages = new Set<string>();
  const names: string[] = [];
  const addFile = (file: DescFile) => {
    if (files.has(file.proto.name!)) return;
    files.set(file.proto.name!, file);
    file.dependencies.forEach(addFile);
    for (const type of nestedTypes(file)) {
      symbols.set(type.typeName, file);
      switch (type.kind) {
        case "message":
          messages.add(type.typeName);
          for (const { name } of [...type.fields, ...type.oneofs]) {
            symbols.set(`${type.typeName}.${name}`, file);
          }
          break;
        case "enum": {
          // Names of enum values are siblings of the enum.
          const scope = type.typeName.slice(0, -type.name.length);
          for (const { name } of type.values) symbols.set(scope + name, file);
          break;
        }
        case "service":
          for (const { name } of type.methods) {
            symbols.set(`${type.typeName}.${name}`, file);
          }
          break;
        case "extension": {
          const { typeName } = type.extendee;
          const numbers = extensions.get(typeName) ?? new Map();
          extensions.set(typeName, numbers.set(type.number, file));
        }
      }
    }
  };
  for (const service of services) {
    names.push(service.typeName);
    addFile(service.file);
  }
  return { services: names.sort(), files, symbols, extensions, messages };
}
