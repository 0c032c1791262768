#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#include "backends/registry.h"

#define REGISTRY_NAME_MAX 32u
#define REGISTRY_PATH_MAX 4096u

/* What every ABI 1 plugin has; later members are asked for by size. */
#define REGISTRY_ABI1_BYTES \
	(offsetof(struct pluri_backend_ops, list) + sizeof(void *))

/* One search: what is looked for, and where it was not. */
struct registry_hunt {
	const char *name;
	const struct pluri_backend_ops *found;
	struct buf looked;
};

static bool registry_lawful(const char *name)
{
	const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= REGISTRY_NAME_MAX && name[n] == 0;
}

static const char *registry_gap(const struct pluri_backend_ops *ops)
{
	if (!ops->open)
		return "open";
	if (!ops->close)
		return "close";
	if (!ops->limits)
		return "limits";
	if (!ops->put)
		return "put";
	if (!ops->get)
		return "get";
	if (!ops->del)
		return "del";
	return ops->list ? NULL : "list";
}

int registry_judge(const char *path, const char *name,
	const struct pluri_backend_ops *ops, struct pluri_err *err)
{
	const char *gap;

	if (!ops)
		return pluri_fail(err, EINVAL,
			"%s: pluri_backend_entry() returned nothing", path);
	if (ops->abi != PLURI_BACKEND_ABI)
		return pluri_fail(err, EINVAL,
			"%s: speaks plugin ABI %u, this plurifs speaks ABI %u: "
			"rebuild the plugin",
			path, ops->abi, PLURI_BACKEND_ABI);
	if (ops->size < REGISTRY_ABI1_BYTES)
		return pluri_fail(err, EINVAL,
			"%s: its operations take %u bytes, ABI %u has %zu: "
			"rebuild the plugin",
			path, ops->size, PLURI_BACKEND_ABI,
			REGISTRY_ABI1_BYTES);
	if (!ops->name || strcmp(ops->name, name) != 0)
		return pluri_fail(err, EINVAL,
			"%s: calls itself \"%.*s\", its file says \"%s\"", path,
			(int)REGISTRY_NAME_MAX, ops->name ? ops->name : "",
			name);
	gap = registry_gap(ops);
	if (gap)
		return pluri_fail(err, EINVAL,
			"%s: has no %s(): the plugin is incomplete", path, gap);
	return 0;
}

static int registry_load(
	const char *path, struct registry_hunt *h, struct pluri_err *err)
{
	const struct pluri_backend_ops *ops;
	const struct pluri_backend_ops *(*entry)(void) = NULL;
	void *module;
	void *symbol;
	int r;

	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return pluri_fail(err, EINVAL, "%s: cannot be loaded: %s", path,
			dlerror());
	symbol = dlsym(module, "pluri_backend_entry");
	if (!symbol) {
		(void)dlclose(module);
		return pluri_fail(err, EINVAL,
			"%s: exports no pluri_backend_entry(): not a plurifs "
			"plugin, or its symbol is hidden",
			path);
	}
	/* ISO C has no cast from data to function pointers */
	memcpy(&entry, &symbol, sizeof(entry));
	ops = entry();
	r = registry_judge(path, h->name, ops, err);
	if (r < 0) {
		(void)dlclose(module);
		return r;
	}
	h->found = ops;
	return 0;
}

/* 0 (found, or to be looked for elsewhere) or the refusal. */
static int registry_look(struct registry_hunt *h, const char *dir, size_t n,
	struct pluri_err *err)
{
	char path[REGISTRY_PATH_MAX];
	struct stat st;
	int len;

	if (n == 0 || h->found)
		return 0;
	len = snprintf(
		path, sizeof(path), "%.*s/pluri-%s.so", (int)n, dir, h->name);
	if (len < 0 || (size_t)len >= sizeof(path))
		return pluri_fail(err, EINVAL,
			"plugin directory \"%.64s...\" is too long a path",
			dir);
	if (stat(path, &st) == 0)
		return registry_load(path, h, err);
	if (errno != ENOENT && errno != ENOTDIR)
		return pluri_fail(err, EINVAL, "%s: cannot be looked at: %s",
			path, strerror(errno));
	/* the list is for the story alone: what does not fit may be lost */
	(void)buf_fmt(
		&h->looked, "%s%.*s", h->looked.len ? ", " : "", (int)n, dir);
	return 0;
}

static int registry_listed(struct registry_hunt *h, struct pluri_err *err)
{
	const char *dirs = secure_getenv("PLURI_PLUGINS");
	int r = 0;

	while (dirs && *dirs && r == 0) {
		const size_t n = strcspn(dirs, ":");

		if (n >= REGISTRY_PATH_MAX)
			return pluri_fail(err, EINVAL,
				"PLURI_PLUGINS has a path of %zu bytes", n);
		r = registry_look(h, dirs, n, err);
		dirs += n;
		dirs += *dirs == ':';
	}
	return r;
}

/* A build used in place: programs stand in its root or one folder below. */
static int registry_beside(struct registry_hunt *h, struct pluri_err *err)
{
	static const char *const up[] = {"", "/.."};
	char exe[PATH_MAX];
	char dir[PATH_MAX + 64];
	ssize_t n;
	int r = 0;

	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0)
		return 0;
	exe[n] = 0;
	*strrchr(exe, '/') = 0;
	for (size_t i = 0; i < 2 && r == 0; i++) {
		(void)snprintf(dir, sizeof(dir), "%s%s/backends/%s", exe, up[i],
			h->name);
		r = registry_look(h, dir, strlen(dir), err);
	}
	return r;
}

int registry_find(const char *name, const struct pluri_backend_ops **ret,
	struct pluri_err *err)
{
	struct registry_hunt h = {.name = name};
	int r;

	if (!registry_lawful(name))
		return pluri_fail(err, EINVAL,
			"\"%.40s\" is not the name of a backend: 1 to %u of "
			"[a-z0-9-]",
			name, REGISTRY_NAME_MAX);
	buf_init(&h.looked, 2 * PLURI_ERR_TEXT);
	r = registry_listed(&h, err);
	if (r == 0)
		r = registry_beside(&h, err);
	if (r == 0)
		r = registry_look(
			&h, PLURI_PLUGIN_DIR, strlen(PLURI_PLUGIN_DIR), err);
	if (r == 0 && !h.found)
		r = pluri_fail(err, ENOENT,
			"there is no backend \"%s\": no pluri-%s.so in %s",
			name, name, buf_text(&h.looked));
	if (r == 0)
		*ret = h.found;
	buf_free(&h.looked);
	return r;
}
