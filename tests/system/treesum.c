/*
 * treesum DIR - a tree as text, one line a name in the order of their bytes,
 * so that two trees are equal when their texts are: kind, mode, owner, links,
 * size, time of change, device, link target, extended attributes, content.
 *
 * Hard links are told by the first name of the same inode. A directory's size
 * and links are the filesystem's own affair, and so are user.pluri.* names.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#define SUM_BLOCK (1u << 18)
#define SUM_XATTR 65536u

struct sum_link {
	ino_t ino;
	char *name;
};

static struct {
	struct sum_link *link;
	size_t n;
} sum;

static uint8_t sum_block[SUM_BLOCK];

static void sum_die(const char *what, const char *path)
{
	(void)fprintf(
		stderr, "treesum: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static void *sum_room(void *old, size_t n)
{
	void *p = realloc(old, n);

	if (!p)
		sum_die("memory for", "names");
	return p;
}

static void sum_text(const char *s)
{
	for (; *s; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c > ' ' && c < 0x7f && c != '\\')
			(void)putchar(c);
		else
			(void)printf("\\%03o", c);
	}
}

static void sum_content(const char *path)
{
	XXH3_state_t *x = XXH3_createState();
	const int fd = open(path, O_RDONLY | O_NOFOLLOW);
	XXH128_hash_t h;
	ssize_t n;

	if (fd < 0)
		sum_die("opening", path);
	(void)XXH3_128bits_reset(x);
	while ((n = read(fd, sum_block, SUM_BLOCK)) > 0)
		(void)XXH3_128bits_update(x, sum_block, (size_t)n);
	if (n < 0)
		sum_die("reading", path);
	(void)close(fd);
	h = XXH3_128bits_digest(x);
	XXH3_freeState(x);
	(void)printf(" %016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
		(uint64_t)h.low64);
}

static int sum_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sum_xattr(const char *path, const char *name)
{
	const ssize_t n = lgetxattr(path, name, sum_block, SUM_BLOCK);

	if (strncmp(name, "user.pluri.", 11) == 0)
		return;
	if (n < 0)
		sum_die("reading an attribute of", path);
	(void)putchar(' ');
	sum_text(name);
	(void)printf(
		"=%016" PRIx64, (uint64_t)XXH3_64bits(sum_block, (size_t)n));
}

static void sum_xattrs(const char *path)
{
	char names[SUM_XATTR];
	char *name[SUM_XATTR / 2];
	const ssize_t len = llistxattr(path, names, sizeof(names));
	size_t n = 0;

	if (len < 0 && errno != ENOTSUP)
		sum_die("listing attributes of", path);
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		name[n++] = names + at;
	qsort(name, n, sizeof(name[0]), sum_order);
	for (size_t i = 0; i < n; i++)
		sum_xattr(path, name[i]);
}

/* The first name of an inode of several; NULL when this is it. */
static const char *sum_first(const struct stat *st, const char *path)
{
	for (size_t i = 0; i < sum.n; i++)
		if (sum.link[i].ino == st->st_ino)
			return sum.link[i].name;
	sum.link = sum_room(sum.link, (sum.n + 1) * sizeof(sum.link[0]));
	sum.link[sum.n].ino = st->st_ino;
	sum.link[sum.n++].name = strdup(path);
	return NULL;
}

static void sum_kind(const char *path, const struct stat *st)
{
	char to[4097];
	const char *first = NULL;

	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		first = sum_first(st, path);
	if (first) {
		(void)printf(" = ");
		sum_text(first);
	} else if (S_ISREG(st->st_mode)) {
		sum_content(path);
	} else if (S_ISLNK(st->st_mode)) {
		const ssize_t n = readlink(path, to, sizeof(to) - 1);

		if (n < 0)
			sum_die("readlink", path);
		to[n] = 0;
		(void)printf(" -> ");
		sum_text(to);
	} else if (S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode)) {
		(void)printf(" %u:%u", major(st->st_rdev), minor(st->st_rdev));
	}
}

static void sum_entry(const char *path, const struct stat *st)
{
	const int is_dir = S_ISDIR(st->st_mode);

	sum_text(path);
	(void)printf(" %06o %u:%u", st->st_mode, st->st_uid, st->st_gid);
	if (!is_dir)
		(void)printf(" %lu %lld", (unsigned long)st->st_nlink,
			(long long)st->st_size);
	(void)printf(" %lld.%09ld", (long long)st->st_mtim.tv_sec,
		st->st_mtim.tv_nsec);
	sum_kind(path, st);
	sum_xattrs(path);
	(void)putchar('\n');
}

static size_t sum_names(const char *path, char ***ret)
{
	DIR *d = opendir(path);
	char **name = NULL;
	struct dirent *e;
	size_t n = 0;

	if (!d)
		sum_die("opening", path);
	while ((errno = 0, e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		name = sum_room(name, (n + 1) * sizeof(*name));
		name[n++] = strdup(e->d_name);
	}
	if (errno)
		sum_die("listing", path);
	(void)closedir(d);
	if (n)
		qsort(name, n, sizeof(*name), sum_order);
	*ret = name;
	return n;
}

static void sum_dir(const char *path)
{
	char **name;
	const size_t n = sum_names(path, &name);

	for (size_t i = 0; i < n; i++) {
		struct stat st;
		char *sub = NULL;

		if (asprintf(&sub, "%s/%s", path, name[i]) < 0)
			sum_die("memory for", path);
		if (lstat(sub, &st) < 0)
			sum_die("stat", sub);
		sum_entry(sub, &st);
		if (S_ISDIR(st.st_mode))
			sum_dir(sub);
		free(sub);
		free(name[i]);
	}
	free(name);
}

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]) < 0) {
		(void)fprintf(stderr, "usage: treesum DIR\n");
		return 2;
	}
	sum_dir(".");
	if (fflush(stdout) != 0)
		sum_die("writing", "the list");
	return 0;
}
