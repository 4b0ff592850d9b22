import { testHostFiles } from "../suite/host_files_suite.ts";
import { FakeHostFiles } from "./fake_host_files.ts";

Deno.test("FakeHostFiles is like the files of a host", async (t) => {
  const files = new FakeHostFiles();
  files.write("/root/program", "hello", 0o600);
  await testHostFiles(t, files, "/root/program");
});
