"""Makes the calls of a plan with Debian's grpcio and generated code.

The plan is a line of JSON on the standard input (Plan in plan.ts). Each outcome
is a line of JSON on the standard output. The first argument is the folder of
the generated code.
"""

import base64
import importlib
import json
import pathlib
import sys
import threading
import time

import grpc

CODE_DIR = sys.argv[1]
sys.path.insert(0, CODE_DIR)
for path in sorted(pathlib.Path(CODE_DIR).rglob("*_pb2.py")):
    relative = path.relative_to(CODE_DIR).with_suffix("")
    importlib.import_module(".".join(relative.parts))

from google.protobuf import descriptor_pb2, json_format, symbol_database  # noqa: E402

from stellar.net.v1 import ipam_pb2  # noqa: E402,F401
from google.rpc import error_details_pb2, status_pb2  # noqa: E402

SYMBOLS = symbol_database.Default()
with open(CODE_DIR + "/grpc.binpb", "rb") as given:
    for described in descriptor_pb2.FileDescriptorSet.FromString(given.read()).file:
        SYMBOLS.pool.Add(described)
OPTIONS = [("grpc.keepalive_time_ms", 1000),
           ("grpc.keepalive_permit_without_calls", 1),
           ("grpc.http2.max_pings_without_data", 0)]


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Channels:
    def __init__(self, plan):
        self.plan = plan
        self.open = {}

    def get(self, who):
        if who not in self.open:
            self.open[who] = self.create(who)
        return self.open[who]

    def create(self, who):
        if who == "plain":
            return grpc.insecure_channel(self.plan["plain"], OPTIONS)
        shown = self.plan["identities"][who]
        credentials = grpc.ssl_channel_credentials(
            read(shown["caPath"]),
            read(shown["keyPath"]) if "keyPath" in shown else None,
            read(shown["certPath"]) if "certPath" in shown else None)
        return grpc.secure_channel(self.plan["tls"], credentials, OPTIONS)


def types_of(call):
    """The types of a call's request and answer, and whether they are streams."""
    service, method = call.split("/")
    try:
        found = SYMBOLS.pool.FindServiceByName(service)
    except KeyError:
        return None
    found = found.methods_by_name.get(method)
    return found and (SYMBOLS.GetPrototype(found.input_type),
                      SYMBOLS.GetPrototype(found.output_type))


def details_of(error):
    found = {}
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                found["reason"] = info.reason
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                found["field"] = bad.field_violations[0].field
    return found


def failed(error, **more):
    # grpcio writes it in this way, and all others as protobuf has it.
    name = error.code().name.replace("CANCELLED", "CANCELED")
    return {"code": name, "message": error.details(), **details_of(error), **more}


def make(channel, situation):
    types = types_of(situation["call"])
    if "raw" in situation or not types:
        request = base64.b64decode(situation.get("raw", ""))
        serialize = bytes
    else:
        request = json_format.ParseDict(situation.get("request", {}), types[0]())
        serialize = types[0].SerializeToString
    options = {
        "timeout": situation.get("timeoutMs", 20000) / 1000,
        "compression": grpc.Compression.Gzip if situation.get("gzip") else None,
    }
    answer_of = types[1].FromString if types else bytes
    path = "/" + situation["call"]
    if "stream" in situation:
        return stream(channel, path, situation, request, serialize, answer_of, options)
    unary = channel.unary_unary(path, serialize, answer_of)
    try:
        if "cancelAfterMs" in situation:
            future = unary.future(request, **options)
            time.sleep(situation["cancelAfterMs"] / 1000)
            future.cancel()
            try:
                answer = future.result()
            except grpc.FutureCancelledError:
                return {"code": "CANCELED"}
        else:
            answer = unary(request, **options)
    except grpc.RpcError as error:
        return failed(error)
    return {"code": "OK", "answer": json_format.MessageToDict(answer) if types else {}}


def stream(channel, path, situation, request, serialize, answer_of, options):
    if situation["stream"] == "bidi":
        messages = channel.stream_stream(path, serialize, answer_of)(iter([request]), **options)
    else:
        messages = channel.unary_stream(path, serialize, answer_of)(request, **options)
    seen = 0
    try:
        for message in messages:
            seen += 1
            if seen > 1:
                continue
            first = json_format.MessageToDict(message)
            if situation["stream"] == "until it ends":
                write({"name": situation["name"], "isOpen": True})
            elif situation["stream"] == "first":
                messages.cancel()
                return {"code": "OK", "answer": first}
        return {"code": "OK", "answer": first if seen else {}}
    except grpc.RpcError as error:
        return failed(error)


LOCK = threading.Lock()


def write(line):
    with LOCK:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main():
    plan = json.loads(sys.stdin.readline())
    channels = Channels(plan)
    # Streams that are read until they end are open together.
    threads = []
    for situation in plan["situations"]:
        channel = channels.get(situation["as"])
        time.sleep(situation.get("pauseMs", 0) / 1000)
        thread = threading.Thread(target=report, args=(channel, situation))
        thread.start()
        if situation.get("stream") == "until it ends":
            threads.append(thread)
        else:
            thread.join()
    for thread in threads:
        thread.join()


def report(channel, situation):
    write({"name": situation["name"], "outcome": make(channel, situation)})


main()
