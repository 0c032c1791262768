/*
 * backends/s3/target.h - which bucket, where, and how it is spoken to: the
 * store's url and options, judged.
 *
 * url: scheme://host[:port][/base path]/bucket[/prefix]; nothing is ever
 * derived from a provider's or region's name. Options:
 *
 *   addressing = path | virtual    virtual: the host names the bucket already,
 *                                  and all of the path is the prefix
 *   base_path = /spider/s3         leading part of the path that belongs to
 *                                  the endpoint; default none
 *   region = us-east-1             that the signature names; the default
 *   list_version = auto | 1 | 2    auto: 1, which every S3 server has
 *   payload = auto | signed | unsigned
 *                                  is the body hashed and signed? auto: over
 *                                  plain HTTP; TLS protects it already
 *   allow_plain_http = yes | no    default no, but for loopback hosts
 *   ca_file, proxy                 as in backends/http.h
 *
 * Read-only once made; any thread.
 */
#ifndef PLURI_BACKENDS_S3_TARGET_H
#define PLURI_BACKENDS_S3_TARGET_H

#include <stdbool.h>

#include "backends/backend.h"
#include "base/own.h"

#define TARGET_URL_MAX 1024u
#define TARGET_PREFIX_MAX 512u /* with a key: within S3's 1024 */

struct target {
	char origin[TARGET_URL_MAX]; /* "https://host:port" */
	const char *host;	     /* in origin: what the Host header says */
	char root[TARGET_URL_MAX];   /* "/base/bucket", or "" */
	char prefix[TARGET_URL_MAX]; /* of keys: "", or "a/b/" */
	char region[64];
	const char *ca_file, *proxy; /* the core's; NULL: none */
	int list_version;	     /* 1 or 2 */
	bool sign_payload;
};

/* 0, or -EINVAL with what to change. */
int target_parse(const char *url, const struct pluri_host *host,
	struct target *ret, struct pluri_err *err);

#endif
