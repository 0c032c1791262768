#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/config_int.h"

/*
 * A path the user wrote, made absolute in place. What comes out is kept as one
 * value of a text again, so the directory must be fit for that as well.
 */
static int config_absolute(
	const char *dir, char *path, size_t cap, struct pluri_err *err)
{
	char all[CONFIG_PATH_MAX];
	const char *rest = path;
	const char *slash = strcmp(dir, "/") == 0 ? "" : "/";
	int n;
	int r;

	if (path[0] == '/')
		return 0;
	while (strncmp(rest, "./", 2) == 0)
		rest += 2;
	n = snprintf(all, sizeof(all), "%s%s%s", dir, slash, rest);
	if (n < 0 || (size_t)n >= sizeof(all) || (size_t)n >= cap)
		return pluri_fail(err, EINVAL,
			"%.200s/%.80s is longer than the limit of %zu bytes",
			dir, path, cap - 1);
	r = config_lines_fits(all, err);
	if (r < 0)
		return r;
	memcpy(path, all, (size_t)n + 1);
	return 0;
}

static int config_ref(const char *dir, char *ref, struct pluri_err *err)
{
	if (strncmp(ref, "file:", 5) != 0)
		return 0;
	return config_absolute(dir, ref + 5, CONFIG_VALUE_MAX + 1 - 5, err);
}

/* A url without a colon is a path: no protocol, no remote's name. */
static int config_place_store(
	struct config_store *s, const char *dir, struct pluri_err *err)
{
	if (!strchr(s->url, ':') &&
		config_absolute(dir, s->url, sizeof(s->url), err) < 0)
		return pluri_where(err, "store \"%s\": url", s->name);
	if (config_ref(dir, s->credentials, err) < 0)
		return pluri_where(err, "store \"%s\": credentials", s->name);
	return 0;
}

static int config_default_state(struct config *c, struct pluri_err *err)
{
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (geteuid() == 0)
		n = snprintf(c->state, sizeof(c->state), "/var/lib/pluri/%s",
			c->name);
	else if (xdg && xdg[0] == '/')
		n = snprintf(c->state, sizeof(c->state), "%s/pluri/%s", xdg,
			c->name);
	else if (home && home[0] == '/')
		n = snprintf(c->state, sizeof(c->state),
			"%s/.local/state/pluri/%s", home, c->name);
	else
		return pluri_fail(err, EINVAL,
			"no state directory: write state = DIR in [volume], or "
			"set HOME");
	if (n < 0 || (size_t)n >= sizeof(c->state))
		return pluri_fail(err, EINVAL,
			"the default state directory's path is too long");
	return 0;
}

int config_place_all(struct config *c, const char *dir, struct pluri_err *err)
{
	int r = 0;
	int n = 0;

	if (c->state[0])
		r = config_absolute(dir, c->state, sizeof(c->state), err);
	else
		r = config_default_state(c, err);
	if (r < 0)
		return pluri_where(err, "state");
	if (!c->key[0])
		n = snprintf(c->key, sizeof(c->key), "file:%.1000s/volume.key",
			c->state);
	if (n < 0 || strlen(c->state) > 1000)
		return pluri_fail(err, EINVAL,
			"key: the state directory's path is too long");
	if (config_ref(dir, c->key, err) < 0)
		return pluri_where(err, "key");
	for (unsigned i = 0; r == 0 && i < c->stores; i++)
		r = config_place_store(&c->store[i], dir, err);
	return r;
}
