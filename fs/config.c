#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config_int.h"

void config_free(struct config *c)
{
	free(c);
}

static int config_bytes(
	int fd, const char *file, struct buf *b, struct pluri_err *err)
{
	struct stat st;
	ssize_t n = 0;

	if (fstat(fd, &st) < 0)
		return pluri_fail(err, errno, "%s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return pluri_fail(err, EINVAL, "%s is not a file", file);
	if (st.st_size > (off_t)CONFIG_FILE_MAX)
		return pluri_fail(err, EINVAL,
			"%s is larger than the limit of %u KiB", file,
			CONFIG_FILE_MAX >> 10);
	if (buf_reserve(b, CONFIG_FILE_MAX + 1) < 0)
		return pluri_fail(err, ENOMEM, "%s: no memory", file);
	do {
		n = read(fd, b->data + b->len, CONFIG_FILE_MAX + 1 - b->len);
		if (n > 0)
			b->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return pluri_fail(err, errno, "%s: %s", file, strerror(errno));
	return 0;
}

static int config_file(
	const char *file, struct config **ret, struct pluri_err *err)
{
	struct buf b;
	int fd;
	int r;

	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pluri_fail(err, errno, "%s: cannot be read: %s", file,
			strerror(errno));
	buf_init(&b, CONFIG_FILE_MAX + 1);
	r = config_bytes(fd, file, &b, err);
	(void)close(fd);
	if (r == 0)
		r = config_parse(file, (const char *)b.data, b.len, ret, err);
	buf_free(&b);
	return r;
}

/* The name as written, below its directory's one real path. */
static int config_real(
	const char *volume, char to[CONFIG_PATH_MAX], struct pluri_err *err)
{
	char dir[CONFIG_PATH_MAX];
	char real[PATH_MAX];
	const char *slash = strrchr(volume, '/');
	const char *base = slash ? slash + 1 : volume;
	int n;

	n = snprintf(dir, sizeof(dir), "%.*s", (int)(base - volume), volume);
	if (n < 0 || (size_t)n >= sizeof(dir))
		return pluri_fail(
			err, ENAMETOOLONG, "%.80s...: too long", volume);
	if (!realpath(dir[0] ? dir : ".", real))
		return pluri_fail(err, errno, "%s: cannot be read: %s", volume,
			strerror(errno));
	n = snprintf(to, CONFIG_PATH_MAX, "%s/%s",
		strcmp(real, "/") == 0 ? "" : real, base);
	if (n < 0 || n >= (int)CONFIG_PATH_MAX)
		return pluri_fail(
			err, ENAMETOOLONG, "%.80s...: too long", volume);
	return 0;
}

/* The nth place where a bare name is looked for, or -ENOENT. */
static int config_place(unsigned n, const char *name, char *to, size_t cap)
{
	const char *own = getenv("PLURI_CONFIG_DIR");
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	int r = -1;

	if (n == 0 && own && own[0] == '/')
		r = snprintf(to, cap, "%s/%s.ini", own, name);
	else if (n == 1 && xdg && xdg[0] == '/')
		r = snprintf(to, cap, "%s/plurifs/%s.ini", xdg, name);
	else if (n == 1 && home && home[0] == '/')
		r = snprintf(to, cap, "%s/.config/plurifs/%s.ini", home, name);
	else if (n == 2)
		r = snprintf(to, cap, "/etc/plurifs/%s.ini", name);
	return r < 0 || (size_t)r >= cap ? -ENOENT : 0;
}

static int config_find(
	const char *name, char to[CONFIG_PATH_MAX], struct pluri_err *err)
{
	char tried[PLURI_ERR_TEXT] = "";
	char clean[PLURI_NAME_MAX + 1];
	size_t n = 0;

	if (config_value_name(name, clean, err) < 0)
		return pluri_where(err, "volume");
	for (unsigned i = 0; i < 3; i++) {
		if (config_place(i, clean, to, CONFIG_PATH_MAX) < 0)
			continue;
		if (access(to, F_OK) == 0)
			return 0;
		if (n < sizeof(tried))
			n += (size_t)snprintf(tried + n, sizeof(tried) - n,
				"%s%s", n ? ", " : "", to);
	}
	return pluri_fail(err, ENOENT,
		"volume \"%s\" has no INI: looked for %s; give a name that is "
		"there, or the file's path",
		clean, tried);
}

int config_load(const char *volume, struct config **ret, struct pluri_err *err)
{
	const size_t n = strlen(volume);
	struct pluri_err own;
	char file[CONFIG_PATH_MAX];
	char real[CONFIG_PATH_MAX];
	int r;

	err = err ? err : &own;
	if (!strchr(volume, '/') &&
		(n < 4 || strcmp(volume + n - 4, ".ini") != 0)) {
		r = config_find(volume, file, err);
		if (r < 0)
			return r;
		volume = file;
	}
	r = config_real(volume, real, err);
	return r < 0 ? r : config_file(real, ret, err);
}
