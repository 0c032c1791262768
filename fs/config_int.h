/*
 * fs/config_int.h - how the files of fs/config*.c share the reading of an INI;
 * users include fs/config.h.
 *
 * Setters get one value, already free of comments, blanks around it, control
 * characters and bad UTF-8, and at most CONFIG_VALUE_MAX bytes long. Their
 * story begins with the value; who calls puts file, line and key in front.
 */
#ifndef PLURI_FS_CONFIG_INT_H
#define PLURI_FS_CONFIG_INT_H

#include "base/buf.h"
#include "fs/config.h"

struct config_key {
	const char *name;
	int (*set)(void *section, const char *value, struct pluri_err *err);
};

/* Longest tables end with a NULL name; at most 32 keys (a bit mask). */
extern const struct config_key config_volume_keys[];
extern const struct config_key config_store_keys[];
extern const struct config_key config_policy_keys[];

/* Where keys go, and which of them have been seen. */
struct config_section {
	const struct config_key *keys;
	void *at;
	struct config_store *store; /* takes unknown keys as options, or NULL */
	uint32_t seen;
};

int config_section_set(struct config_section *s, const char *name,
	const char *value, struct pluri_err *err);

/* What an INI is made of; a non-zero answer stops the reading. */
struct config_lines {
	const char *file; /* for messages */
	/* kind and name are "" when the line has none: [kind "name"] */
	int (*section)(void *arg, unsigned line, const char *kind,
		const char *name, struct pluri_err *err);
	int (*value)(void *arg, unsigned line, const char *name,
		const char *value, struct pluri_err *err);
	void *arg;
};

/* Every line in order; a failure's story begins with file and line. */
int config_lines_read(const struct config_lines *l, const char *text,
	size_t len, struct pluri_err *err);

/* Would a value made by us survive being written and read as a line? */
int config_lines_fits(const char *value, struct pluri_err *err);

/* Single values. ret is untouched on failure. */
int config_value_name(const char *v, char to[PLURI_NAME_MAX + 1],
	struct pluri_err *err);
int config_value_label(const char *v, char to[PLURI_NAME_MAX + 1],
	struct pluri_err *err);
int config_value_copy(const char *v, char *to, size_t cap,
	struct pluri_err *err);
int config_value_ref(const char *v, char to[CONFIG_VALUE_MAX + 1],
	struct pluri_err *err);
int config_value_size(const char *v, uint64_t least, uint64_t most,
	uint64_t *ret, struct pluri_err *err);
int config_value_ms(const char *v, uint32_t least, uint32_t most,
	uint32_t *ret, struct pluri_err *err);
/* Place of v in a NULL-ended list of words, or -EINVAL with the nearest. */
int config_value_word(const char *v, const char *const *words,
	struct pluri_err *err);
/* One letter wrong, missing, too many, or two neighbours swapped. */
bool config_value_typo(const char *a, const char *b);

void config_volume_default(struct config *c);
void config_store_default(struct config_store *s, const char *name);
void config_policy_default(struct config_policy *p, const char *name);

/* Whole sections, once all keys are known. */
int config_store_check(const struct config_store *s, struct pluri_err *err);

/* Paths and defaults that need the whole file: dir is the INI's, absolute. */
int config_place_all(struct config *c, const char *dir,
	struct pluri_err *err);

#endif
