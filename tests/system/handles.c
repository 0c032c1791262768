/*
 * handles take DIR FILE NAME... - the handle of each DIR/NAME, as an NFS
 * server takes it, as a line in FILE.
 * handles open DIR FILE - each is opened by its handle alone: is it the same
 * object, with the same content, under the path that the kernel tells?
 * handles stale DIR FILE - none of them can be opened any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDLE_NAME 200
#define HANDLE_HEX (2 * MAX_HANDLE_SZ)

struct handle_line {
	char name[HANDLE_NAME + 1];
	unsigned long long ino, size;
	unsigned mode;
	int type;
	char hex[HANDLE_HEX + 1];
};

union handle_room {
	struct file_handle h;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int handle_take(int dir, const char *name, FILE *to)
{
	union handle_room r = {.h.handle_bytes = MAX_HANDLE_SZ};
	struct stat st;
	int mount;

	if (name_to_handle_at(dir, name, &r.h, &mount, 0) < 0 ||
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		printf("# %s: %s\n", name, strerror(errno));
		return 1;
	}
	(void)fprintf(to, "%s %llu %lld %o %d ", name,
		(unsigned long long)st.st_ino, (long long)st.st_size,
		st.st_mode, r.h.handle_type);
	for (unsigned i = 0; i < r.h.handle_bytes; i++)
		(void)fprintf(to, "%02x", r.h.f_handle[i]);
	return fputc('\n', to) == EOF;
}

static int handle_open(int dir, const struct handle_line *l)
{
	union handle_room r;
	char byte[3] = "";

	r.h.handle_bytes = (unsigned)strlen(l->hex) / 2;
	r.h.handle_type = l->type;
	for (unsigned i = 0; i < r.h.handle_bytes; i++) {
		memcpy(byte, l->hex + (size_t)2 * i, 2);
		r.h.f_handle[i] = (unsigned char)strtoul(byte, NULL, 16);
	}
	return open_by_handle_at(dir, &r.h,
		S_ISREG(l->mode) || S_ISDIR(l->mode) ? O_RDONLY : O_PATH);
}

/* A file of these checks holds its own first name, over and over. */
static int handle_content(int fd, const struct handle_line *l)
{
	char got[HANDLE_NAME + 1] = "";
	const char *base = strrchr(l->name, '/');
	const size_t n = strlen(base ? base + 1 : l->name);

	if (!S_ISREG(l->mode) || l->size == 0)
		return 0;
	if (pread(fd, got, n, 0) != (ssize_t)n ||
		memcmp(got, base ? base + 1 : l->name, n) != 0)
		return printf("# %s: wrong content\n", l->name), 1;
	return 0;
}

/* Is the open object where the kernel says, and does ".." lead up? */
static int handle_path(int fd, const struct handle_line *l)
{
	char link[64], path[4096];
	struct stat a, b;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (!S_ISDIR(l->mode) || n < 0)
		return 0;
	path[n] = 0;
	if (fstat(fd, &a) < 0 || stat(path, &b) < 0 || a.st_ino != b.st_ino)
		return printf("# %s: not at %s\n", l->name, path), 1;
	*strrchr(path, '/') = 0;
	if (fstatat(fd, "..", &a, 0) < 0 || stat(path, &b) < 0 ||
		a.st_ino != b.st_ino)
		return printf("# %s: its .. is not %s\n", l->name, path), 1;
	return 0;
}

static int handle_judge(int dir, const struct handle_line *l, int stale)
{
	const int fd = handle_open(dir, l);
	struct stat st;
	int wrong = 0;

	if (stale && (fd >= 0 || errno != ESTALE)) {
		printf("# %s: %s, not stale\n", l->name,
			fd >= 0 ? "opened" : strerror(errno));
		return 1;
	}
	if (stale)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return printf("# %s: %s\n", l->name, strerror(errno)), 1;
	if (st.st_ino != l->ino || st.st_mode != l->mode ||
		(S_ISREG(l->mode) && (unsigned long long)st.st_size != l->size))
		wrong = printf("# %s: another object\n", l->name) > 0;
	wrong += handle_content(fd, l) + handle_path(fd, l);
	(void)close(fd);
	return wrong;
}

static int handle_all(int dir, FILE *from, int stale)
{
	struct handle_line l;
	int wrong = 0;

	while (fscanf(from, "%200s %llu %llu %o %d %256s", l.name, &l.ino,
		       &l.size, &l.mode, &l.type, l.hex) == 6)
		wrong += handle_judge(dir, &l, stale);
	return wrong > 0;
}

int main(int argc, char **argv)
{
	const int take = argc > 3 && strcmp(argv[1], "take") == 0;
	const int dir = argc > 3 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1;
	FILE *f = dir < 0 ? NULL : fopen(argv[3], take ? "w" : "r");
	int wrong = 0;

	if (!f)
		return fprintf(stderr,
			       "handles take|open|stale DIR FILE [NAME...]\n"),
		       2;
	if (!take)
		wrong = handle_all(dir, f, strcmp(argv[1], "stale") == 0);
	for (int i = 4; take && i < argc; i++)
		wrong += handle_take(dir, argv[i], f);
	return fclose(f) != 0 || wrong;
}
