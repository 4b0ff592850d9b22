/** What the tests run besides Deno: a file by which to know it, and its Debian package. */
const NEEDED: readonly [file: string, debianPackage: string][] = [
  ["/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"],
  ["/usr/bin/busybox", "busybox-static"],
  ["/usr/bin/chromium", "chromium"],
  ["/usr/bin/cc", "gcc"],
  ["/usr/bin/containerd", "containerd"],
  ["/usr/bin/ctr", "containerd"],
  ["/usr/bin/crun", "crun"],
  ["/usr/bin/curl", "curl"],
  ["/usr/bin/docker", "docker.io"],
  ["/usr/bin/etcd", "etcd-server"],
  ["/usr/bin/etcdctl", "etcd-client"],
  ["/usr/bin/faketime", "faketime"],
  ["/usr/bin/fping", "fping"],
  ["/usr/bin/iperf3", "iperf3"],
  ["/usr/bin/git", "git"],
  ["/usr/bin/go", "golang-go"],
  ["/usr/bin/protoc-gen-go", "protoc-gen-go"],
  ["/usr/bin/protoc-gen-go-grpc", "protoc-gen-go-grpc"],
  ["/usr/bin/nsenter", "util-linux"],
  ["/usr/bin/openssl", "openssl"],
  ["/usr/bin/ping", "iputils-ping"],
  ["/usr/bin/podman", "podman"],
  ["/usr/bin/prometheus", "prometheus"],
  ["/usr/bin/python3", "python3"],
  ["/usr/bin/qemu-aarch64-static", "qemu-user-static"],
  ["/usr/bin/script", "bsdutils"],
  ["/usr/bin/setpriv", "util-linux"],
  // The browser's: without one, its pages have boxes for letters.
  ["/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "fonts-dejavu-core"],
  // It is installed and not started: there is another init, or none.
  ["/usr/bin/systemd-analyze", "systemd"],
  ["/usr/bin/unshare", "util-linux"],
  ["/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross"],
  ["/usr/include/stdio.h", "libc6-dev"],
  // The newer of two libraries: apt would take the other one.
  [
    "/usr/share/gocode/src/google.golang.org/protobuf/proto/proto.go",
    "golang-github-golang-protobuf-1-5-dev",
  ],
  [
    "/usr/share/gocode/src/google.golang.org/grpc/call.go",
    "golang-google-grpc-dev",
  ],
  ["/usr/lib/cni/host-local", "containernetworking-plugins"],
  ["/usr/lib/python3/dist-packages/grpc/__init__.py", "python3-grpcio"],
  ["/usr/bin/protoc", "protobuf-compiler"],
  ["/usr/bin/grpc_python_plugin", "protobuf-compiler-grpc"],
  ["/usr/include/google/protobuf/timestamp.proto", "libprotobuf-dev"],
  ["/usr/sbin/haproxy", "haproxy"],
  ["/usr/sbin/ip", "iproute2"],
  ["/usr/sbin/iptables-legacy", "iptables"],
  ["/usr/sbin/iptables-nft", "iptables"],
  ["/usr/sbin/nft", "nftables"],
  ["/usr/sbin/runc", "runc"],
];

const INSTALL = ["install", "-y", "--no-install-recommends"];

async function missing(): Promise<string[]> {
  const packages = new Set<string>();
  for (const [file, debianPackage] of NEEDED) {
    const found = await Deno.stat(file).then(() => true, () => false);
    if (!found) packages.add(debianPackage);
  }
  return [...packages];
}

async function apt(args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await new Deno.Command("apt-get", {
    args: ["-qq", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    stdin: "null",
  }).output();
  if (code === 0) return;
  const decoder = new TextDecoder();
  console.error(decoder.decode(stdout) + decoder.decode(stderr));
}

/** Has packages with daemons not start them, unless this machine has a rule of its own. */
async function withoutServices(install: () => Promise<void>): Promise<void> {
  const path = "/usr/sbin/policy-rc.d";
  try {
    await Deno.writeTextFile(path, "#!/bin/sh\nexit 101\n", {
      createNew: true,
      mode: 0o755,
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    return await install();
  }
  try {
    await install();
  } finally {
    await Deno.remove(path);
  }
}

const packages = await missing();
if (packages.length > 0) {
  const command = `apt-get ${INSTALL.join(" ")} ${packages.join(" ")}`;
  const debian = await Deno.stat("/etc/debian_version")
    .then(() => true, () => false);
  if (debian && Deno.uid() === 0) {
    console.error(`The tests need ${packages.join(", ")}: ${command}`);
    await apt(["update"]);
    await withoutServices(() => apt([...INSTALL, ...packages]));
  }
  const still = await missing();
  if (still.length > 0) {
    console.error(
      `Cannot run the tests: ${still.join(", ")} ${
        still.length === 1 ? "is" : "are"
      } missing. On Debian, as root: apt-get update && ${command}`,
    );
    Deno.exit(1);
  }
}
