#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#include "fs/config_int.h"

struct config_reading {
	struct config *c;
	struct config_section now; /* keys NULL: before the first section */
	bool volume;
	unsigned stores_line[PLURI_POLICIES_MAX]; /* of `stores =`, or 0 */
};

static int config_open_volume(
	struct config_reading *r, const char *name, struct pluri_err *err)
{
	if (name[0])
		return pluri_fail(err, EINVAL,
			"[volume] takes no name: write name = %.64s below it",
			name);
	if (r->volume)
		return pluri_fail(err, EINVAL, "[volume] is there twice");
	r->volume = true;
	r->now = (struct config_section){config_volume_keys, r->c, NULL, 0};
	return 0;
}

static int config_open_store(struct config_reading *r, const char *name,
	unsigned line, struct pluri_err *err)
{
	struct config_store *s = &r->c->store[r->c->stores];

	for (unsigned i = 0; i < r->c->stores; i++)
		if (strcmp(r->c->store[i].name, name) == 0)
			return pluri_fail(err, EINVAL,
				"[store \"%s\"] is there twice, first in line "
				"%u",
				name, r->c->store[i].line);
	if (r->c->stores >= PLURI_STORES_MAX)
		return pluri_fail(err, EINVAL,
			"one store too many: the limit is %u",
			PLURI_STORES_MAX);
	config_store_default(s, name);
	s->line = line;
	r->c->stores++;
	r->now = (struct config_section){config_store_keys, s, s, 0};
	return 0;
}

static int config_open_policy(struct config_reading *r, const char *name,
	unsigned line, struct pluri_err *err)
{
	struct config *c = r->c;
	struct config_policy *p = &c->policy[c->policies];
	const bool def = strcmp(name, "default") == 0;

	for (unsigned i = 0; i < c->policies; i++)
		if (c->policy[i].line && strcmp(c->policy[i].name, name) == 0)
			return pluri_fail(err, EINVAL,
				"[policy \"%s\"] is there twice, first in line "
				"%u",
				name, c->policy[i].line);
	if (def) /* its place is kept */
		p = &c->policy[0];
	else if (c->policies++ >= PLURI_POLICIES_MAX)
		return pluri_fail(err, EINVAL,
			"one policy too many: the limit is %u",
			PLURI_POLICIES_MAX);
	config_policy_default(p, name);
	p->line = line;
	r->now = (struct config_section){config_policy_keys, p, NULL, 0};
	return 0;
}

static int config_on_section(void *arg, unsigned line, const char *kind,
	const char *name, struct pluri_err *err)
{
	static const char *const kinds[] = {"volume", "store", "policy", NULL};
	struct config_reading *r = arg;
	const int k = config_value_word(kind, kinds, err);
	char clean[PLURI_NAME_MAX + 1];

	if (k < 0)
		return pluri_where(err, "unknown section");
	if (k == 0)
		return config_open_volume(r, name, err);
	if (name[0] == 0)
		return pluri_fail(err, EINVAL,
			"a %s has a name: write [%s \"name\"]", kind, kind);
	if (config_value_name(name, clean, err) < 0)
		return pluri_where(err, "%s", kind);
	if (k == 1)
		return config_open_store(r, clean, line, err);
	return config_open_policy(r, clean, line, err);
}

static int config_on_value(void *arg, unsigned line, const char *name,
	const char *value, struct pluri_err *err)
{
	struct config_reading *r = arg;

	if (!r->now.keys)
		return pluri_fail(err, EINVAL,
			"key \"%.64s\" stands before the first section: begin "
			"with [volume]",
			name);
	if (r->now.keys == config_policy_keys && strcmp(name, "stores") == 0) {
		const struct config_policy *p = r->now.at;

		r->stores_line[p - r->c->policy] = line;
	}
	return config_section_set(&r->now, name, value, err);
}

/* Every store that a policy names must be there. */
static int config_check_stores(const struct config *c, unsigned at,
	unsigned line, struct pluri_err *err)
{
	const struct config_policy *p = &c->policy[at];
	const char *names[PLURI_STORES_MAX + 1] = {NULL};

	for (unsigned i = 0; i < c->stores; i++)
		names[i] = c->store[i].name;
	for (unsigned i = 0; i < p->stores; i++) {
		const char *want = p->store[i];
		const char *near = text_nearest(want, names);
		unsigned k = 0;

		while (names[k] && strcmp(names[k], want) != 0)
			k++;
		if (!names[k])
			return pluri_fail(err, EINVAL,
				"%s:%u: stores: policy \"%s\" names store "
				"\"%s\", and there is no [store \"%s\"]"
				"%s%s%s",
				c->file, line, p->name, want, want,
				near ? "; did you mean \"" : "",
				near ? near : "", near ? "\"?" : "");
	}
	return 0;
}

static int config_check_policies(
	struct config_reading *r, struct pluri_err *err)
{
	struct config *c = r->c;
	int e = 0;

	for (unsigned i = 0; e == 0 && i < c->policies; i++) {
		struct config_policy *p = &c->policy[i];
		const unsigned n = p->stores ? p->stores : c->stores;

		if (!p->layout[0])
			strcpy(p->layout, n >= 2 ? "mirror:2" : "mirror:1");
		e = config_check_stores(c, i, r->stores_line[i], err);
	}
	return e;
}

static int config_check(struct config_reading *r, struct pluri_err *err)
{
	struct config *c = r->c;

	if (!r->volume)
		return pluri_fail(
			err, EINVAL, "%s: there is no [volume]", c->file);
	if (c->name[0] == 0)
		return pluri_fail(err, EINVAL,
			"%s: [volume] has no name: write name = ...", c->file);
	if (c->stores == 0)
		return pluri_fail(err, EINVAL,
			"%s: there is no store: write at least one "
			"[store \"name\"]",
			c->file);
	for (unsigned i = 0; i < c->stores; i++)
		if (config_store_check(&c->store[i], err) < 0)
			return pluri_where(
				err, "%s:%u", c->file, c->store[i].line);
	return config_check_policies(r, err);
}

/* The INI's directory, absolute, for the relative paths in it. */
static int config_dir(
	const char *file, char to[CONFIG_PATH_MAX], struct pluri_err *err)
{
	const char *slash = strrchr(file, '/');
	size_t n = 0;

	if (file[0] != '/') {
		if (!getcwd(to, CONFIG_PATH_MAX - 1))
			return pluri_fail(err, errno,
				"%s: cannot tell the current directory: %s",
				file, strerror(errno));
		if (!slash)
			return 0;
		n = strlen(to);
		to[n++] = '/';
	}
	if (n + (size_t)(slash - file) >= CONFIG_PATH_MAX)
		return pluri_fail(
			err, ENAMETOOLONG, "%s: the path is too long", file);
	memcpy(to + n, file, (size_t)(slash - file));
	to[n + (size_t)(slash - file)] = 0;
	if (to[0] == 0)
		strcpy(to, "/");
	return 0;
}

int config_parse(const char *file, const char *text, size_t len,
	struct config **ret, struct pluri_err *err)
{
	pluri_auto(config) c = calloc(1, sizeof(*c));
	struct config_reading r = {.c = c};
	const struct config_lines l = {
		file, config_on_section, config_on_value, &r};
	struct pluri_err own;
	char dir[CONFIG_PATH_MAX];
	int e;

	err = err ? err : &own;
	if (!c)
		return pluri_fail(err, ENOMEM, "%s: no memory", file);
	if (config_value_copy(file, c->file, sizeof(c->file), err) < 0)
		return pluri_where(err, "path");
	config_volume_default(c);
	config_policy_default(&c->policy[0], "default");
	c->policies = 1;
	e = config_lines_read(&l, text, len, err);
	e = e ? e : config_check(&r, err);
	e = e ? e : config_dir(file, dir, err);
	if (e < 0)
		return e;
	if (config_place_all(c, dir, err) < 0)
		return pluri_where(err, "%s", file);
	*ret = pluri_steal(c);
	return 0;
}
