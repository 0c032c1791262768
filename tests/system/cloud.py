#!/usr/bin/env python3
"""cloud.py MODE-FILE - an S3 server that misbehaves as a file says.

Prints its port. The file is read for each request: one word, see `bad`; "ok"
keeps objects in memory and answers as S3 does. Signatures are not looked at.
"""
import http.server
import os
import re
import sys
import time
import xml.sax.saxutils

objects = {}
mode_file = sys.argv[1]


def error(code, text):
    return (
        '<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message>'
        "<RequestId>1</RequestId></Error>" % (code, text)
    ).encode()


bad = {
    "signature": (403, error("SignatureDoesNotMatch", "not your signature")),
    "unknown-key": (403, error("InvalidAccessKeyId", "no such key")),
    "no-bucket": (404, error("NoSuchBucket", "no such bucket")),
    "throttle": (503, error("SlowDown", "reduce your rate")),
    "broken": (500, error("InternalError", "try again")),
    "full": (507, error("InsufficientStorage", "no room")),
    "html": (200, b"<html><body>Please log in to the network</body></html>"),
    "html-404": (404, b"<html><body>404 not found</body></html>"),
    "noise": (200, None),
    "bomb": (
        403,
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">'
        b"]><Error><Code>&b;&b;</Code></Error>",
    ),
}


class Cloud(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def misbehave(self, mode):
        if mode == "hang":
            time.sleep(600)
        elif mode == "hang-up":
            pass
        elif mode == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
            self.wfile.write(b"begun")
        elif mode == "not-http":
            self.wfile.write(b"220 mail.example ESMTP\r\n" * 9)
        elif mode == "redirect":
            self.answer(302, b"", [("Location", "http://127.0.0.1:9/x")])
            return
        else:
            status, body = bad[mode]
            self.answer(status, os.urandom(3000) if body is None else body)
            return
        self.close_connection = True

    def serve(self):
        n = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(n)
        with open(mode_file) as f:
            mode = f.read().strip()
        if mode != "ok":
            self.misbehave(mode)
            return
        path, _, query = self.path.partition("?")
        if "list-type" in query or "prefix=" in query:
            self.list(query)
        else:
            getattr(self, "do_" + self.command.lower() + "_object")(path, body)

    def do_put_object(self, path, body):
        if self.headers.get("If-None-Match") == "*" and path in objects:
            self.answer(412, error("PreconditionFailed", "it is there"))
            return
        objects[path] = body
        self.answer(200, b"", [("ETag", '"x"')])

    def do_get_object(self, path, _body):
        if path not in objects:
            self.answer(404, error("NoSuchKey", "no such key"))
            return
        whole = objects[path]
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not m:
            self.answer(200, whole, [("ETag", '"x"')])
            return
        first = int(m[1])
        last = min(int(m[2] or len(whole) - 1), len(whole) - 1)
        if first >= len(whole):
            self.answer(
                416,
                error("InvalidRange", "behind the end"),
                [("Content-Range", "bytes */%d" % len(whole))],
            )
            return
        where = "bytes %d-%d/%d" % (first, last, len(whole))
        self.answer(
            206,
            whole[first : last + 1],
            [("Content-Range", where), ("ETag", '"x"')],
        )

    do_head_object = do_get_object

    def do_delete_object(self, path, _body):
        objects.pop(path, None)
        self.answer(204)

    def list(self, query):
        m = re.search(r"(?:^|&)prefix=([^&]*)", query)
        prefix = m[1].replace("%2F", "/") if m else ""
        bucket = self.path.split("?")[0].rstrip("/") + "/"
        out = '<?xml version="1.0"?><ListBucketResult>'
        out += "<IsTruncated>false</IsTruncated>"
        for key in sorted(objects):
            name = key[len(bucket) :]
            if key.startswith(bucket) and name.startswith(prefix):
                out += "<Contents><Key>%s</Key><Size>%d</Size></Contents>" % (
                    xml.sax.saxutils.escape(name),
                    len(objects[key]),
                )
        self.answer(200, (out + "</ListBucketResult>").encode())

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = serve


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
