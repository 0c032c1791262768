#include <string.h>

#include "backends/s3/xml.h"

#include "tests/fuzz/fuzz.h"

/* What a page must keep, told key by key. */
struct seen {
	unsigned keys;
	char last[XML_TEXT_MAX];
};

static int each(void *arg, const char *key, uint64_t size)
{
	struct seen *s = arg;

	FUZZ_CHECK(size <= INT64_MAX);
	FUZZ_CHECK(strlen(key) > 0 && strlen(key) < XML_TEXT_MAX);
	FUZZ_CHECK(s->keys == 0 || strcmp(s->last, key) < 0);
	memcpy(s->last, key, strlen(key) + 1);
	s->keys++;
	return 0;
}

static void check_list(struct pluri_span doc)
{
	struct seen first = {.keys = 0};
	struct seen again = {.keys = 0};
	struct xml_page page = {.keys = 0};
	struct pluri_err err = {0};

	if (xml_list(doc, each, &first, &page, &err) < 0) {
		FUZZ_CHECK(err.code != 0 && page.keys == 0);
		return;
	}
	FUZZ_CHECK(page.keys == first.keys);
	FUZZ_CHECK(strcmp(page.last, first.last) == 0);
	FUZZ_CHECK(strlen(page.next) < XML_TEXT_MAX);
	FUZZ_CHECK(xml_list(doc, each, &again, &page, NULL) == 0);
	FUZZ_CHECK(again.keys == first.keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pluri_span doc = {data, size};
	struct xml_error e;

	check_list(doc);
	if (xml_error(doc, &e) == 0) {
		FUZZ_CHECK(e.code[0]);
		for (const char *p = e.message; *p; p++)
			FUZZ_CHECK(*p >= ' ' && *p <= '~');
	}
	return 0;
}
