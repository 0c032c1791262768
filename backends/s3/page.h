/*
 * backends/s3/page.h - one page of a bucket's listing, whole or not at all.
 *
 * The answer is judged to its end before the first key is handed on. Keys
 * that plurifs cannot have written (spaces, odd letters) are passed over;
 * one outside the prefix that was asked for condemns the page. Shared.
 */
#ifndef PLURI_BACKENDS_S3_PAGE_H
#define PLURI_BACKENDS_S3_PAGE_H

#include "backends/s3/send.h"

#define PAGE_KEYS_MAX 1000u

/* As list() of backends/backend.h. */
int page_list(struct send *s, const struct target *target,
	struct pluri_call *call, const char *prefix, struct pluri_page *page,
	struct pluri_err *err);

#endif
