/*
 * backends/s3/xml.h - S3's XML answers, every byte hostile.
 *
 * No document type (and so no entities), bounded depth and text; a document
 * that ends early, or lacks what S3 promises, is refused whole. Pure.
 */
#ifndef PLURI_BACKENDS_S3_XML_H
#define PLURI_BACKENDS_S3_XML_H

#include <stdbool.h>

#include "base/err.h"
#include "base/types.h"

#define XML_TEXT_MAX 2048u /* bytes of an element's text that is kept */
#define XML_DEPTH_MAX 12u

struct xml_error {
	char code[64];	   /* "NoSuchKey" */
	char message[200]; /* printable ASCII */
	char region[64];   /* "" unless told */
};

/* An <Error> document: 0, or -EBADMSG when it is none. */
int xml_error(struct pluri_span doc, struct xml_error *ret);

struct xml_page {
	unsigned keys;
	bool truncated;
	char next[XML_TEXT_MAX]; /* NextMarker or NextContinuationToken, "" */
	char last[XML_TEXT_MAX]; /* the last key, "" when there is none */
};

/*
 * A <ListBucketResult>: each (may be NULL) gets every key in turn, which
 * ascend by byte order; non-zero from it stops with that code. *ret is
 * untouched on failure. -EBADMSG: not a whole page.
 */
int xml_list(struct pluri_span doc,
	int (*each)(void *arg, const char *key, uint64_t size), void *arg,
	struct xml_page *ret, struct pluri_err *err);

#endif
