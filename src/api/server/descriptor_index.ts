import type { DescFile, DescService } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";

/** What is known of the services of a server, for those who ask by name. */
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

/** Indexes services, the files that declare them, and all files that those need. */
export function createDescriptorIndex(
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
          // The names of values stand beside their enum, not in it.
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
