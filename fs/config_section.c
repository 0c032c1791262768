#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"

#include "fs/config_int.h"

#define CONFIG_KEYS_MAX 32u

static int config_unknown(
	const struct config_key *keys, const char *name, struct pluri_err *err)
{
	const char *names[CONFIG_KEYS_MAX + 1] = {NULL};
	const char *near;

	for (unsigned i = 0; keys[i].name; i++)
		names[i] = keys[i].name;
	near = text_nearest(name, names);
	return pluri_fail(err, EINVAL, "unknown key \"%.64s\"%s%s%s", name,
		near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

/* A key that the store's backend may know; a slip of the pen is not one. */
static int config_option(struct config_section *s, const char *name,
	const char *value, struct pluri_err *err)
{
	struct config_store *st = s->store;
	struct config_option *o = &st->option[st->options];
	char clean[PLURI_NAME_MAX + 1];

	for (unsigned i = 0; s->keys[i].name; i++)
		if (config_value_typo(name, s->keys[i].name))
			return config_unknown(s->keys, name, err);
	for (unsigned i = 0; i < st->options; i++)
		if (strcmp(st->option[i].name, name) == 0)
			return pluri_fail(err, EINVAL,
				"key \"%.64s\" is given twice", name);
	if (config_value_name(name, clean, NULL) < 0)
		return config_unknown(s->keys, name, err);
	if (st->options >= CONFIG_OPTIONS_MAX)
		return pluri_fail(err, EINVAL,
			"\"%s\" is one key too many: a backend takes %u", name,
			CONFIG_OPTIONS_MAX);
	memcpy(o->name, clean, sizeof(clean));
	memcpy(o->value, value, strlen(value) + 1);
	st->options++;
	return 0;
}

int config_section_set(struct config_section *s, const char *name,
	const char *value, struct pluri_err *err)
{
	for (unsigned i = 0; s->keys[i].name; i++) {
		if (strcmp(s->keys[i].name, name) != 0)
			continue;
		if (s->seen & 1u << i)
			return pluri_fail(
				err, EINVAL, "key \"%s\" is given twice", name);
		s->seen |= 1u << i;
		if (s->keys[i].set(s->at, value, err) < 0)
			return pluri_where(err, "%s", name);
		return 0;
	}
	if (s->store)
		return config_option(s, name, value, err);
	return config_unknown(s->keys, name, err);
}
