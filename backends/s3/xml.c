#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "base/text.h"

#include "backends/s3/xml.h"

/* What an element is to us, by depth and name. */
enum element {
	OTHER,
	LIST, /* depth 1 */
	TRUNCATED, /* depth 2, all that follow to CONTENTS */
	NEXT,
	CONTENTS,
	KEY, /* depth 3 in CONTENTS */
	SIZE,
	ERROR, /* depth 1 */
	CODE, /* depth 2 in ERROR */
	MESSAGE,
	REGION,
};

static const struct {
	const char *name;
	enum element inside, is;
} grammar[] = {
	{"ListBucketResult", OTHER, LIST},
	{"IsTruncated", LIST, TRUNCATED},
	{"NextMarker", LIST, NEXT},
	{"NextContinuationToken", LIST, NEXT},
	{"Contents", LIST, CONTENTS},
	{"Key", CONTENTS, KEY},
	{"Size", CONTENTS, SIZE},
	{"Error", OTHER, ERROR},
	{"Code", ERROR, CODE},
	{"Message", ERROR, MESSAGE},
	{"Region", ERROR, REGION},
};

struct reader {
	XML_Parser parser;
	enum element path[XML_DEPTH_MAX + 1]; /* path[0] is outside all */
	unsigned depth;
	char text[XML_TEXT_MAX];
	size_t len;
	const char *why; /* why the document is refused */
	int code; /* what each() said */

	struct xml_error *error;
	struct xml_page *page;
	int (*each)(void *arg, const char *key, uint64_t size);
	void *arg;
	bool truncated_told, key_told, size_told;
	char key[XML_TEXT_MAX];
	uint64_t size;
};

static void refuse(struct reader *r, const char *why)
{
	if (!r->why)
		r->why = why;
	(void)XML_StopParser(r->parser, XML_FALSE);
}

/* Elements that hold elements; of the others we know, the text counts. */
static bool holds(enum element e)
{
	return e == OTHER || e == LIST || e == CONTENTS || e == ERROR;
}

static enum element know(enum element inside, unsigned depth, const char *name)
{
	const char *colon = strrchr(name, ':');

	if (inside == OTHER && depth > 0)
		return OTHER;
	if (colon)
		name = colon + 1;
	for (size_t i = 0; i < sizeof(grammar) / sizeof(grammar[0]); i++)
		if (grammar[i].inside == inside &&
			strcmp(grammar[i].name, name) == 0)
			return grammar[i].is;
	return OTHER;
}

static void XMLCALL on_start(
	void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = arg;
	enum element e;

	(void)attributes;
	if (r->why) /* expat may end what it has begun */
		return;
	if (r->depth == XML_DEPTH_MAX || !holds(r->path[r->depth])) {
		refuse(r, "nested too deeply");
		return;
	}
	e = know(r->path[r->depth], r->depth, name);
	if (r->depth == 0 && e != (r->page ? LIST : ERROR)) {
		refuse(r, "another document than expected");
		return;
	}
	r->path[++r->depth] = e;
	r->len = 0;
	if (e == CONTENTS)
		r->key_told = r->size_told = false;
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
	struct reader *r = arg;

	if (r->why || holds(r->path[r->depth]))
		return;
	if ((size_t)len >= sizeof(r->text) - r->len) {
		refuse(r, "text too long");
		return;
	}
	memcpy(r->text + r->len, text, (size_t)len);
	r->len += (size_t)len;
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name,
	const XML_Char *system, const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(arg, "a document type");
}

/* Printable ASCII only, cut where the room ends: it goes into stories. */
static void take_word(char *to, size_t cap, const char *text)
{
	size_t n = 0;

	for (; text[n] && n + 1 < cap; n++)
		to[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	to[n] = 0;
}

static void end_contents(struct reader *r)
{
	struct xml_page *p = r->page;

	if (!r->key_told || !r->size_told) {
		refuse(r, "an entry without key or size");
		return;
	}
	if (p->keys > 0 && strcmp(p->last, r->key) >= 0) {
		refuse(r, "keys out of order");
		return;
	}
	p->keys++;
	memcpy(p->last, r->key, sizeof(p->last));
	r->code = r->each ? r->each(r->arg, r->key, r->size) : 0;
	if (r->code != 0)
		refuse(r, "stopped by the caller");
}

static void end_truncated(struct reader *r)
{
	const bool yes = strcmp(r->text, "true") == 0;

	if (r->truncated_told || (!yes && strcmp(r->text, "false") != 0)) {
		refuse(r, "IsTruncated is neither true nor false");
		return;
	}
	r->truncated_told = true;
	r->page->truncated = yes;
}

static void end_size(struct reader *r)
{
	r->size_told = text_uint(r->text, INT64_MAX, &r->size, NULL) == 0;
	if (!r->size_told)
		refuse(r, "a size that is no number");
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reader *r = arg;
	enum element e;

	(void)name;
	if (r->why)
		return;
	e = r->path[r->depth--];
	r->text[r->len] = 0;
	if (e == TRUNCATED) {
		end_truncated(r);
	} else if (e == NEXT) {
		memcpy(r->page->next, r->text, r->len + 1);
	} else if (e == KEY) {
		memcpy(r->key, r->text, r->len + 1);
		r->key_told = r->len > 0;
	} else if (e == SIZE) {
		end_size(r);
	} else if (e == CONTENTS) {
		end_contents(r);
	} else if (e == CODE) {
		take_word(r->error->code, sizeof(r->error->code), r->text);
	} else if (e == MESSAGE) {
		take_word(
			r->error->message, sizeof(r->error->message), r->text);
	} else if (e == REGION) {
		take_word(r->error->region, sizeof(r->error->region), r->text);
	}
	r->len = 0;
}

/* 0, or -EBADMSG with r->why, or what each() said. */
static int parse(struct reader *r, struct pluri_span doc)
{
	int ok;

	if (doc.len == 0 || doc.len > INT32_MAX) {
		r->why = "no document";
		return -EBADMSG;
	}
	r->parser = XML_ParserCreate(NULL);
	if (!r->parser)
		return -ENOMEM;
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	ok = XML_Parse(r->parser, doc.data, (int)doc.len, 1) == XML_STATUS_OK;
	if (!ok && !r->why)
		r->why = XML_ErrorString(XML_GetErrorCode(r->parser));
	XML_ParserFree(r->parser);
	if (r->code != 0)
		return r->code;
	return r->why ? -EBADMSG : 0;
}

int xml_error(struct pluri_span doc, struct xml_error *ret)
{
	struct xml_error e = {.code = ""};
	struct reader *r = calloc(1, sizeof(*r));
	int bad;

	if (!r)
		return -ENOMEM;
	r->error = &e;
	bad = parse(r, doc);
	free(r);
	if (bad < 0)
		return bad;
	if (!e.code[0])
		return -EBADMSG;
	*ret = e;
	return 0;
}

int xml_list(struct pluri_span doc,
	int (*each)(void *arg, const char *key, uint64_t size), void *arg,
	struct xml_page *ret, struct pluri_err *err)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct xml_page page = {.keys = 0};
	const char *why;
	int bad;

	if (!r)
		return pluri_fail(err, ENOMEM, "no memory for a listing");
	r->page = &page;
	r->each = each;
	r->arg = arg;
	bad = parse(r, doc);
	if (bad == 0 && !r->truncated_told) {
		bad = -EBADMSG;
		r->why = "IsTruncated is missing";
	}
	why = r->why ? r->why : "no memory";
	free(r);
	if (bad == -EBADMSG || bad == -ENOMEM)
		return pluri_fail(
			err, -bad, "listing is not a whole S3 page: %s", why);
	if (bad != 0)
		return bad;
	*ret = page;
	return 0;
}
