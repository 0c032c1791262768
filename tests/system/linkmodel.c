/*
 * linkmodel DIR STATE SEED STEPS - random operations on files of several
 * names, each compared with a model in memory: contents, sizes, hard links,
 * appending.
 *
 * The model is kept in STATE between runs, so that the script may unmount,
 * kill the daemon, or take local copies away in between; a run begins and ends
 * with comparing everything. The same SEED does the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_NAMES 12u
#define MODEL_FILES 12u
#define MODEL_MAX (3u << 20)
#define MODEL_MAGIC 0x6d6f6465u

struct model_file {
	uint32_t size, links;
	uint8_t data[MODEL_MAX];
};

/* names[i]: a file's number and 1; 0: there is none. */
static struct {
	uint32_t magic;
	uint64_t seed, step;
	uint32_t names[MODEL_NAMES];
	struct model_file file[MODEL_FILES];
} m;

static uint8_t model_back[MODEL_MAX + 1];

__attribute__((format(printf, 1, 2), noreturn)) static void model_die(
	const char *fmt, ...)
{
	const int code = errno;
	va_list ap;

	(void)printf("# model: step %" PRIu64 ": ", m.step);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf(" (%s)\n", strerror(code));
	exit(1);
}

static uint64_t model_random(uint64_t below)
{
	m.seed ^= m.seed << 13;
	m.seed ^= m.seed >> 7;
	m.seed ^= m.seed << 17;
	return (m.seed * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

static const char *model_name(unsigned n)
{
	static char text[4][16];
	static unsigned turn;
	char *to = text[turn++ % 4];

	/* in two directories */
	(void)snprintf(to, 16, "%s%u", n % 2 ? "sub/" : "", n);
	return to;
}

/* Small, or up to max, about as often. */
static uint32_t model_length(uint32_t max)
{
	static const uint32_t scale[] = {16, 4096, 70000, MODEL_MAX};
	const uint32_t top = scale[model_random(4)];

	return 1 + (uint32_t)model_random(top < max ? top : max);
}

static void model_bytes(uint8_t *to, uint32_t len)
{
	const uint8_t often = (uint8_t)model_random(256);
	const int flat = model_random(4) == 0; /* what compresses */

	for (uint32_t i = 0; i < len; i++)
		to[i] = flat ? often : (uint8_t)model_random(256);
}

/* --- comparing ----------------------------------------------------------- */

static void model_compare_bytes(const char *path, const struct model_file *f)
{
	const int fd = open(path, O_RDONLY);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		model_die("%s: cannot be opened", path);
	if (st.st_size != f->size || st.st_nlink != f->links)
		model_die("%s: %lld bytes, %lu links; should be %u, %u", path,
			(long long)st.st_size, (unsigned long)st.st_nlink,
			f->size, f->links);
	n = pread(fd, model_back, sizeof(model_back), 0);
	if (n != f->size)
		model_die("%s: %zd bytes read of %u", path, n, f->size);
	for (uint32_t i = 0; i < f->size; i++)
		if (model_back[i] != f->data[i])
			model_die("%s: byte %u of %u is %02x, should be %02x",
				path, i, f->size, model_back[i], f->data[i]);
	(void)close(fd);
}

static void model_compare(unsigned name)
{
	const char *path = model_name(name);
	struct stat st;

	if (m.names[name])
		model_compare_bytes(path, &m.file[m.names[name] - 1]);
	else if (lstat(path, &st) == 0 || errno != ENOENT)
		model_die("%s: should not be there", path);
}

static void model_compare_all(void)
{
	for (unsigned n = 0; n < MODEL_NAMES; n++)
		model_compare(n);
}

/* --- operations on a file ------------------------------------------------ */

static int model_open(unsigned name, int flags)
{
	const int fd = open(model_name(name), flags, 0644);

	if (fd < 0)
		model_die("%s: open", model_name(name));
	return fd;
}

static void model_grow(struct model_file *f, uint32_t size)
{
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

static void model_create(unsigned name)
{
	uint32_t n = 0;

	while (n < MODEL_FILES && m.file[n].links)
		n++;
	if (n == MODEL_FILES)
		return;
	(void)close(model_open(name, O_WRONLY | O_CREAT | O_EXCL));
	m.file[n].size = 0;
	m.file[n].links = 1;
	m.names[name] = n + 1;
}

static void model_write(unsigned name, struct model_file *f, int append)
{
	const uint32_t off =
		append ? f->size : (uint32_t)model_random(f->size + 5000);
	uint32_t len;
	int fd;

	if (off >= MODEL_MAX)
		return;
	len = model_length(MODEL_MAX - off);
	if (off + len > f->size)
		model_grow(f, off + len);
	model_bytes(f->data + off, len);
	fd = model_open(name, append ? O_WRONLY | O_APPEND : O_WRONLY);
	if ((append ? write(fd, f->data + off, len)
		    : pwrite(fd, f->data + off, len, off)) != (ssize_t)len)
		model_die("%s: write", model_name(name));
	if (model_random(8) == 0 && fsync(fd) < 0)
		model_die("%s: fsync", model_name(name));
	if (close(fd) < 0)
		model_die("%s: close", model_name(name));
}

static void model_truncate(unsigned name, struct model_file *f)
{
	const uint32_t size = model_random(3)
				      ? (uint32_t)model_random(f->size + 1)
				      : (uint32_t)model_random(MODEL_MAX);

	if (truncate(model_name(name), size) < 0)
		model_die("%s: truncate", model_name(name));
	model_grow(f, size);
}

static void model_punch(unsigned name, struct model_file *f)
{
	const uint32_t off = (uint32_t)model_random(f->size + 1);
	const uint32_t len = model_length(MODEL_MAX);
	const int fd = model_open(name, O_WRONLY);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
		    len) < 0)
		model_die("%s: punch", model_name(name));
	(void)close(fd);
	if (off < f->size)
		memset(f->data + off, 0,
			len < f->size - off ? len : f->size - off);
}

static void model_read(unsigned name, const struct model_file *f)
{
	const uint32_t off = (uint32_t)model_random(f->size + 100);
	const uint32_t len = model_length(MODEL_MAX);
	const uint32_t left = off < f->size ? f->size - off : 0;
	const uint32_t want = len < left ? len : left;
	const int fd = model_open(name, O_RDONLY);

	if (pread(fd, model_back, len, off) != (ssize_t)want ||
		(want && memcmp(model_back, f->data + off, want) != 0))
		model_die("%s: read of %u at %u of %u", model_name(name), len,
			off, f->size);
	(void)close(fd);
}

/* --- operations on names ------------------------------------------------- */

static void model_drop(unsigned name)
{
	if (m.names[name])
		m.file[m.names[name] - 1].links--;
	m.names[name] = 0;
}

static void model_rename(unsigned from, unsigned to)
{
	const int r = rename(model_name(from), model_name(to));

	if (m.names[from] == 0) {
		if (r == 0 || errno != ENOENT)
			model_die("rename of nothing");
		return;
	}
	if (r < 0)
		model_die("rename %u to %u", from, to);
	if (m.names[from] == m.names[to])
		return; /* two names of one file stay */
	model_drop(to);
	m.names[to] = m.names[from];
	m.names[from] = 0;
}

static void model_link(unsigned from, unsigned to)
{
	const int r = link(model_name(from), model_name(to));

	if (m.names[from] == 0 || m.names[to]) {
		if (r == 0)
			model_die("link %u to %u should fail", from, to);
		return;
	}
	if (r < 0)
		model_die("link %u to %u", from, to);
	m.names[to] = m.names[from];
	m.file[m.names[to] - 1].links++;
}

static void model_unlink(unsigned name)
{
	if ((unlink(model_name(name)) == 0) != (m.names[name] != 0))
		model_die("unlink %u", name);
	model_drop(name);
}

static void model_on_names(unsigned name, unsigned what)
{
	const unsigned other = (unsigned)model_random(MODEL_NAMES);

	if (what < 10)
		model_rename(name, other);
	else if (what < 15)
		model_link(name, other);
	else if (what < 20)
		model_unlink(name);
	else
		model_compare(name);
}

static void model_step(void)
{
	const unsigned name = (unsigned)model_random(MODEL_NAMES);
	const unsigned what = (unsigned)model_random(100);
	struct model_file *f;

	if (what >= 75) {
		model_on_names(name, what - 75);
		return;
	}
	if (m.names[name] == 0)
		model_create(name);
	if (m.names[name] == 0)
		return;
	f = &m.file[m.names[name] - 1];
	if (what < 42)
		model_write(name, f, what >= 30);
	else if (what < 52)
		model_truncate(name, f);
	else if (what < 57)
		model_punch(name, f);
	else
		model_read(name, f);
}

/* --- between runs -------------------------------------------------------- */

static void model_load(const char *path, uint64_t seed)
{
	const int fd = open(path, O_RDONLY);

	if (fd < 0) {
		m.magic = MODEL_MAGIC;
		m.seed = seed * 2 + 1;
		if (mkdir("sub", 0755) < 0)
			model_die("sub");
		return;
	}
	if (read(fd, &m, sizeof(m)) != (ssize_t)sizeof(m) ||
		m.magic != MODEL_MAGIC)
		model_die("%s is no model", path);
	(void)close(fd);
}

static void model_save(const char *path)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, &m, sizeof(m)) != (ssize_t)sizeof(m) ||
		close(fd) < 0)
		model_die("%s", path);
}

int main(int argc, char **argv)
{
	uint64_t end;

	if (argc != 5 || argv[2][0] != '/' || chdir(argv[1]) < 0) {
		(void)fprintf(
			stderr, "usage: linkmodel DIR /STATE SEED STEPS\n");
		return 2;
	}
	model_load(argv[2], strtoull(argv[3], NULL, 10));
	model_compare_all();
	end = m.step + strtoull(argv[4], NULL, 10);
	while (m.step < end) {
		m.step++;
		model_step();
	}
	model_compare_all();
	model_save(argv[2]);
	(void)printf("# %" PRIu64 " steps\n", m.step);
	return 0;
}
