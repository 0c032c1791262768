/*
 * modelrun_tree.c - whole trees: listed, compared, copied.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

#define TREE_PIECE 65536u

static uint64_t tree_sum(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* In any order: a sum of sums. */
static uint64_t tree_xattrs(const char *path)
{
	char list[8192];
	char value[8192];
	const ssize_t n = llistxattr(path, list, sizeof(list));
	uint64_t sum = n < 0 ? (uint64_t)errno : 0;

	for (char *at = list; n > 0 && at < list + n; at += strlen(at) + 1) {
		ssize_t got;

		if (strncmp(at, "user.pluri.", 11) == 0)
			continue;
		got = lgetxattr(path, at, value, sizeof(value));
		sum += tree_sum(value, got < 0 ? 0 : (size_t)got,
			tree_sum(at, strlen(at), (uint64_t)(got < 0)));
	}
	return sum;
}

static int tree_add(struct model_tree *t, const char *full, const char *path)
{
	struct model_entry *e;
	char link[8192];
	ssize_t n;

	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->entry = realloc(t->entry, t->room * sizeof(*e));
		if (!t->entry)
			abort();
	}
	e = &t->entry[t->n];
	memset(e, 0, sizeof(*e));
	if (lstat(full, &e->st) < 0)
		return -errno;
	if (S_ISLNK(e->st.st_mode)) {
		n = readlink(full, link, sizeof(link));
		if (n < 0)
			return -errno;
		e->link = tree_sum(link, (size_t)n, 1);
	}
	e->xattr = tree_xattrs(full);
	e->path = strdup(path);
	t->n++;
	return 0;
}

static int tree_walk(
	struct model_tree *t, const char *root, const char *path, char why[])
{
	char full[MODEL_PATH * 3];
	char below[MODEL_PATH * 2];
	struct dirent *e;
	DIR *dir;
	int r;

	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	r = tree_add(t, full, path);
	if (r < 0) {
		(void)model_wrong(why, "%s: %s", full, strerror(-r));
		return r;
	}
	if (!S_ISDIR(t->entry[t->n - 1].st.st_mode))
		return 0;
	dir = opendir(full);
	if (!dir) {
		r = -errno;
		(void)model_wrong(why, "%s: %s", full, strerror(-r));
		return r;
	}
	errno = 0;
	while (r >= 0 && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(below, sizeof(below), "%s%s%s",
			strcmp(path, ".") == 0 ? "" : path,
			strcmp(path, ".") == 0 ? "" : "/", e->d_name);
		r = tree_walk(t, root, below, why);
	}
	(void)closedir(dir);
	return r;
}

static int tree_by_path(const void *a, const void *b)
{
	const struct model_entry *x = a;
	const struct model_entry *y = b;

	return strcmp(x->path, y->path);
}

int model_tree_scan(const char *root, struct model_tree *t, char why[])
{
	int r;

	t->n = 0;
	r = tree_walk(t, root, ".", why);
	if (t->n > 0)
		qsort(t->entry, t->n, sizeof(t->entry[0]), tree_by_path);
	return r;
}

void model_tree_free(struct model_tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->entry[i].path);
	free(t->entry);
	memset(t, 0, sizeof(*t));
}

static bool tree_entry_alike(const struct model_entry *a,
	const struct model_entry *b, bool exact, char why[])
{
	const mode_t mask =
		exact || !S_ISREG(a->st.st_mode) ? ~0u : ~(mode_t)06000;

	if ((a->st.st_mode & mask) != (b->st.st_mode & mask))
		return model_wrong(why, "%s: mode %#o, should be %#o", a->path,
			b->st.st_mode, a->st.st_mode);
	if (a->st.st_nlink != b->st.st_nlink)
		return model_wrong(why, "%s: %lu links, should be %lu", a->path,
			(unsigned long)b->st.st_nlink,
			(unsigned long)a->st.st_nlink);
	if (a->st.st_uid != b->st.st_uid || a->st.st_gid != b->st.st_gid)
		return model_wrong(why, "%s: owner %u:%u, should be %u:%u",
			a->path, b->st.st_uid, b->st.st_gid, a->st.st_uid,
			a->st.st_gid);
	if (a->st.st_rdev != b->st.st_rdev || a->link != b->link)
		return model_wrong(why, "%s: other device or target", a->path);
	if (a->xattr != b->xattr)
		return model_wrong(why, "%s: other attributes", a->path);
	return true;
}

/* Files of several names are the same files on both sides. */
static bool tree_links_alike(const struct model_tree *a,
	const struct model_tree *b, size_t i, char why[])
{
	if (S_ISDIR(a->entry[i].st.st_mode) || a->entry[i].st.st_nlink < 2)
		return true;
	for (size_t j = 0; j < i; j++)
		if ((a->entry[i].st.st_ino == a->entry[j].st.st_ino) !=
			(b->entry[i].st.st_ino == b->entry[j].st.st_ino))
			return model_wrong(why, "%s and %s: one file or two?",
				a->entry[i].path, a->entry[j].path);
	return true;
}

bool model_tree_alike(const struct model_tree *a, const struct model_tree *b,
	bool exact, char why[])
{
	for (size_t i = 0; i < a->n || i < b->n; i++) {
		const int order = i >= a->n   ? 1
				  : i >= b->n ? -1
					      : strcmp(a->entry[i].path,
							b->entry[i].path);

		if (order)
			return model_wrong(why, "%s is %s the mount",
				order < 0 ? a->entry[i].path : b->entry[i].path,
				order < 0 ? "not in" : "only in");
		if (!tree_entry_alike(&a->entry[i], &b->entry[i], exact, why) ||
			!tree_links_alike(a, b, i, why))
			return false;
	}
	return true;
}

/* --- bytes --- */

/* The next offset from `at` where either has data; -1: none. */
static off_t tree_next(int a, int b, off_t at)
{
	const off_t x = lseek(a, at, SEEK_DATA);
	const off_t y = lseek(b, at, SEEK_DATA);

	if (x < 0 || y < 0)
		return x < 0 ? y : x;
	return x < y ? x : y;
}

static bool tree_bytes(int a, int b, off_t size, char why[])
{
	static uint8_t room[2][TREE_PIECE];
	off_t at = tree_next(a, b, 0);

	for (; at >= 0 && at < size; at = tree_next(a, b, at)) {
		const ssize_t n = pread(a, room[0], TREE_PIECE, at);
		const ssize_t m = pread(b, room[1], TREE_PIECE, at);

		if (n <= 0 || n != m)
			return model_wrong(why,
				"%zd bytes at %lld, should be %zd (%s)", m,
				(long long)at, n, strerror(errno));
		for (ssize_t i = 0; i < n; i++)
			if (room[0][i] != room[1][i])
				return model_wrong(why,
					"byte %lld is %02x, should be %02x",
					(long long)(at + i), room[1][i],
					room[0][i]);
		at += n;
	}
	return true;
}

static bool tree_file(
	const char *ref, const char *mount, const char *path, char why[])
{
	char full[2][MODEL_PATH * 3];
	char what[MODEL_TEXT] = "";
	struct stat st;
	int fd[2];
	bool same;

	(void)snprintf(full[0], sizeof(full[0]), "%s/%s", ref, path);
	(void)snprintf(full[1], sizeof(full[1]), "%s/%s", mount, path);
	for (unsigned i = 0; i < 2; i++)
		fd[i] = open(full[i], O_RDONLY | O_NOATIME | O_CLOEXEC);
	same = fd[0] >= 0 && fd[1] >= 0 && fstat(fd[0], &st) == 0;
	if (!same)
		(void)model_wrong(what, "%s", strerror(errno));
	same = same && tree_bytes(fd[0], fd[1], st.st_size, what);
	for (unsigned i = 0; i < 2; i++)
		(void)close(fd[i]);
	return same || model_wrong(why, "%s: %s", path, what);
}

static bool tree_same(const char *ref, const char *mount,
	struct model_tree t[2], const struct model_shared *shared, char why[])
{
	for (size_t i = 0; i < t[0].n; i++) {
		const struct model_entry *a = &t[0].entry[i];
		const struct model_entry *b = &t[1].entry[i];

		if (!S_ISDIR(a->st.st_mode) && a->st.st_size != b->st.st_size)
			return model_wrong(why,
				"%s: %lld bytes, should be "
				"%lld",
				a->path, (long long)b->st.st_size,
				(long long)a->st.st_size);
		if (!model_same_time(shared, &a->st, &b->st))
			return model_wrong(why,
				"%s: mtime %lld.%09ld, should "
				"be %lld.%09ld",
				a->path, (long long)b->st.st_mtim.tv_sec,
				b->st.st_mtim.tv_nsec,
				(long long)a->st.st_mtim.tv_sec,
				a->st.st_mtim.tv_nsec);
		if (S_ISREG(a->st.st_mode) &&
			!tree_file(ref, mount, a->path, why))
			return false;
	}
	return true;
}

bool model_tree_same(const char *ref, const char *mount,
	const struct model_shared *shared, char why[])
{
	struct model_tree t[2] = {{0}, {0}};
	bool same;

	why[0] = 0;
	same = model_tree_scan(ref, &t[0], why) == 0 &&
	       model_tree_scan(mount, &t[1], why) == 0 &&
	       model_tree_alike(&t[0], &t[1], true, why) &&
	       tree_same(ref, mount, t, shared, why);
	model_tree_free(&t[0]);
	model_tree_free(&t[1]);
	return same;
}

/* --- copies --- */

static int tree_run(char *const argv[])
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return status == 0 ? 0 : -EIO;
}

int model_tree_copy(const char *from, const char *to)
{
	char *const gone[] = {"rm", "-rf", (char *)(uintptr_t)to, NULL};
	char *const copy[] = {"cp", "-a", "--sparse=always", "-T",
		(char *)(uintptr_t)from, (char *)(uintptr_t)to, NULL};
	const int r = tree_run(gone);

	return r < 0 ? r : tree_run(copy);
}
