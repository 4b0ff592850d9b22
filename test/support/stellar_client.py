"""Calls a gRPC service with grpcio: a JSON line in, a JSON line out.

The first line describes the service: the target, paths of certificates where
TLS is spoken, its full name, and the descriptors of its files in base64, for
Debian's grpcio has no generator. Every
other line is a call, and is answered with its answer or its error.
"""

import base64
import json
import sys

import grpc
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
)

given = json.loads(sys.stdin.readline())
pool = descriptor_pool.DescriptorPool()
for file in given["files"]:
    data = base64.b64decode(file)
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))
factory = message_factory.MessageFactory(pool)
service = pool.FindServiceByName(given["service"])


def call(channel, name, fields):
    method = service.methods_by_name[name]
    request = factory.GetPrototype(method.input_type)
    response = factory.GetPrototype(method.output_type)
    unary = channel.unary_unary(
        "/%s/%s" % (service.full_name, name),
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    try:
        answer = unary(json_format.ParseDict(fields, request()), timeout=10)
        return {"answer": json_format.MessageToDict(answer)}
    except grpc.RpcError as error:
        return {
            "code": error.code().name.lower(),
            "message": error.details(),
        }


def read(path):
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def connect():
    tls = given.get("tls")
    if tls is None:
        return grpc.insecure_channel(given["target"])
    credentials = grpc.ssl_channel_credentials(
        read(tls["caPath"]), read(tls.get("keyPath")), read(tls.get("certPath"))
    )
    return grpc.secure_channel(given["target"], credentials)


with connect() as channel:
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(call(channel, asked["call"], asked["request"])))
        sys.stdout.flush()
