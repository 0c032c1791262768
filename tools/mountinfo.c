#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "fs/xattr.h"

#include "tools/mountinfo.h"

#define MOUNTINFO_MAX (16u << 20)
#define MOUNTINFO_TYPE "fuse"
#define MOUNTINFO_SOURCE "pluri:"

struct mountinfo_line {
	const char *dir, *type, *source; /* each ends at a blank */
};

/* The nth word of a line, counted from 0; "" when there are not so many. */
static const char *mountinfo_word(const char *p, unsigned n)
{
	for (; n > 0 && *p && *p != '\n'; n--) {
		p += strcspn(p, " \n");
		p += *p == ' ';
	}
	return p;
}

/* A word with its \ooo taken back; -ENAMETOOLONG beyond PATH_MAX. */
static int mountinfo_copy(const char *p, char to[PATH_MAX])
{
	size_t n = 0;

	for (; *p && *p != ' ' && *p != '\n'; p++) {
		if (n + 1 >= PATH_MAX)
			return -ENAMETOOLONG;
		if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
			to[n++] = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 |
					 (p[3] - '0'));
			p += 3;
		} else {
			to[n++] = *p;
		}
	}
	to[n] = 0;
	return 0;
}

/* "ID PARENT DEV ROOT DIR OPTS [TAG...] - TYPE SOURCE SUPER" */
static void mountinfo_split(const char *line, struct mountinfo_line *ret)
{
	const char *p = mountinfo_word(line, 5);

	ret->dir = mountinfo_word(line, 4);
	while (*p && *p != '\n' && strncmp(p, "- ", 2) != 0)
		p = mountinfo_word(p, 1);
	ret->type = mountinfo_word(p, 1);
	ret->source = mountinfo_word(p, 2);
}

/* Where path goes on below dir, or NULL. */
static const char *mountinfo_below(const char *path, const char *dir)
{
	const size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	if (strncmp(path, dir, n) != 0 || (path[n] != 0 && path[n] != '/'))
		return NULL;
	return path + n + strspn(path + n, "/");
}

static int mountinfo_take(const struct mountinfo_line *l, const char *path,
	struct mountinfo *ret, struct pluri_err *err)
{
	struct mountinfo m;
	char type[PATH_MAX] = "";
	size_t n = strlen(MOUNTINFO_TYPE);

	if (mountinfo_copy(l->dir, m.dir) < 0 ||
		mountinfo_copy(l->source, m.config) < 0 ||
		mountinfo_copy(l->type, type) < 0)
		return pluri_fail(err, ENAMETOOLONG,
			"%s: a mount's path is too long", path);
	if (strncmp(type, MOUNTINFO_TYPE, n) != 0 ||
		(type[n] && type[n] != '.'))
		return pluri_fail(err, ENOENT,
			"%s is not in a mounted volume: it is in the %s "
			"mounted at %s",
			path, type, m.dir);
	n = strlen(MOUNTINFO_SOURCE);
	if (strncmp(m.config, MOUNTINFO_SOURCE "/", n + 1) == 0)
		memmove(m.config, m.config + n, strlen(m.config + n) + 1);
	else
		m.config[0] = 0;
	(void)snprintf(
		m.path, sizeof(m.path), "%s", mountinfo_below(path, m.dir));
	*ret = m;
	return 0;
}

int mountinfo_match(const char *text, const char *path, struct mountinfo *ret,
	struct pluri_err *err)
{
	struct mountinfo_line best = {NULL, NULL, NULL};
	size_t longest = 0;

	for (const char *p = text; *p;) {
		struct mountinfo_line l;
		char dir[PATH_MAX];

		mountinfo_split(p, &l);
		/* The last of equals lies on top of the others. */
		if (mountinfo_copy(l.dir, dir) == 0 && dir[0] == '/' &&
			mountinfo_below(path, dir) && strlen(dir) >= longest) {
			longest = strlen(dir);
			best = l;
		}
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	if (!best.dir)
		return pluri_fail(
			err, ENOENT, "%s is not in a mounted volume", path);
	return mountinfo_take(&best, path, ret, err);
}

static int mountinfo_read(struct buf *b, struct pluri_err *err)
{
	const int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && n != 0) {
		r = buf_reserve(b, 65536);
		if (r < 0)
			break;
		n = read(fd, b->data + b->len, 65536);
		if (n > 0)
			b->len += (size_t)n;
		else if (n < 0 && errno != EINTR)
			r = -errno;
	}
	if (fd >= 0)
		(void)close(fd);
	if (r < 0)
		return pluri_fail(
			err, -r, "/proc/self/mountinfo: %s", strerror(-r));
	if (b->data)
		b->data[b->len] = 0;
	return 0;
}

/*
 * The parent's real path and the last part as it is: the path itself may be
 * a mount point whose daemon is dead, or a symbolic link that is asked about.
 */
static int mountinfo_real(
	const char *path, char to[PATH_MAX], struct pluri_err *err)
{
	char part[PATH_MAX];
	char real[PATH_MAX];
	size_t n = strlen(path);
	char *base;

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 0 || n >= sizeof(part))
		return pluri_fail(err, n ? ENAMETOOLONG : EINVAL,
			"\"%.80s\" is not a path", path);
	memcpy(part, path, n);
	part[n] = 0;
	base = strrchr(part, '/');
	base = base ? base + 1 : part;
	if (strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || !*base) {
		if (!realpath(part, to))
			return pluri_fail(
				err, errno, "%s: %s", path, strerror(errno));
		return 0;
	}
	n = (size_t)(base - part);
	if (!realpath(n ? strndupa(part, n) : ".", real))
		return pluri_fail(err, errno, "%s: %s", path, strerror(errno));
	if (snprintf(to, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "",
		    base) >= PATH_MAX)
		return pluri_fail(
			err, ENAMETOOLONG, "%.80s...: too long", path);
	return 0;
}

/* Whoever mounted it answers what he likes: a path is all it is taken for. */
static int mountinfo_ask(struct mountinfo *m, struct pluri_err *err)
{
	const ssize_t n = getxattr(
		m->dir, XATTR_CONFIG, m->config, sizeof(m->config) - 1);
	const int e = n < 0 ? errno : EINVAL;

	m->config[n > 0 ? n : 0] = 0;
	if (m->config[0] == '/')
		return 0;
	if (e == ENODATA || e == EOPNOTSUPP)
		return pluri_fail(err, ENOENT,
			"%s is not in a mounted volume: another FUSE "
			"filesystem is mounted there",
			m->dir);
	return pluri_fail(err, e,
		"the mount at %s does not tell its INI: %s; fusermount3 -u %s "
		"unmounts it",
		m->dir, strerror(e), m->dir);
}

int mountinfo_find(
	const char *path, struct mountinfo *ret, struct pluri_err *err)
{
	struct mountinfo m;
	struct buf b;
	char real[PATH_MAX];
	int r;

	r = mountinfo_real(path, real, err);
	if (r < 0)
		return r;
	buf_init(&b, MOUNTINFO_MAX);
	r = mountinfo_read(&b, err);
	if (r == 0)
		r = mountinfo_match(buf_text(&b), real, &m, err);
	buf_free(&b);
	if (r == 0 && m.config[0] == 0)
		r = mountinfo_ask(&m, err);
	if (r == 0)
		*ret = m;
	return r;
}
