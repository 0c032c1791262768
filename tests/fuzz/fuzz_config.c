#include <string.h>

#include "fs/config.h"

#include "tests/fuzz/fuzz.h"

#define FUZZ_TEXT (128u << 10)

/* What the database will keep of a section reads back as the same section. */
static void store(const struct config_store *s, char *text, char *again)
{
	struct config_store *back = calloc(1, sizeof(*back));

	FUZZ_CHECK(back && config_store_text(s, text, FUZZ_TEXT) == 0);
	FUZZ_CHECK(config_store_parse(s->name, text, back, NULL) == 0);
	FUZZ_CHECK(config_store_text(back, again, FUZZ_TEXT) == 0);
	FUZZ_CHECK(strcmp(text, again) == 0);
	free(back);
}

static void policy(const struct config_policy *p, char *text, char *again)
{
	struct config_policy *back = calloc(1, sizeof(*back));

	FUZZ_CHECK(back && config_policy_text(p, text, FUZZ_TEXT) == 0);
	FUZZ_CHECK(config_policy_parse(p->name, text, back, NULL) == 0);
	FUZZ_CHECK(config_policy_text(back, again, FUZZ_TEXT) == 0);
	FUZZ_CHECK(strcmp(text, again) == 0);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = NULL;
	struct pluri_err err = {.code = 0};
	char *text = malloc(2 * FUZZ_TEXT);

	FUZZ_CHECK(text);
	if (config_parse("/d/x.ini", (const char *)data, size, &c, &err) < 0) {
		/* Refusing always comes with its story. */
		FUZZ_CHECK(err.code > 0 && err.text[0]);
		free(text);
		return 0;
	}
	FUZZ_CHECK(c->name[0] && c->state[0] == '/' && c->stores > 0);
	FUZZ_CHECK(strcmp(c->policy[0].name, "default") == 0);
	for (unsigned i = 0; i < c->stores; i++)
		store(&c->store[i], text, text + FUZZ_TEXT);
	for (unsigned i = 0; i < c->policies; i++)
		policy(&c->policy[i], text, text + FUZZ_TEXT);
	config_free(c);
	free(text);
	return 0;
}
