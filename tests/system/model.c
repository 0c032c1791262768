/*
 * model DIR SEED STEPS COMMAND - random operations on a few files in DIR and,
 * alike, in memory; what is read must be what memory says. COMMAND is run four
 * times on the way, with no file open: it mounts anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_FILES 8u
#define MODEL_MAX (3u << 20) /* bytes of one file */

struct model_file {
	bool there;
	uint64_t size;
	uint8_t *data; /* zeros behind size */
};

struct model {
	const char *dir;
	uint64_t seed, step;
	struct model_file file[MODEL_FILES];
	uint8_t room[MODEL_MAX + 1];
};

static uint64_t model_draw(struct model *m, uint64_t below)
{
	uint64_t z = m->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static void model_fail(const struct model *m, unsigned f, const char *what)
{
	(void)printf("# step %llu, file %u, %s: %s\n",
		(unsigned long long)m->step, f, what, strerror(errno));
	exit(1);
}

static const char *model_path(const struct model *m, unsigned f, char to[4096])
{
	(void)snprintf(to, 4096, "%s/model%u", m->dir, f);
	return to;
}

static int model_open(struct model *m, unsigned f, int flags)
{
	char path[4096];
	const int fd = open(model_path(m, f, path), flags | O_CLOEXEC, 0644);

	if (fd < 0)
		model_fail(m, f, "open");
	return fd;
}

static void model_write(struct model *m, unsigned f, bool mapped)
{
	struct model_file *w = &m->file[f];
	const int fd = model_open(m, f, O_RDWR | O_CREAT);
	const uint64_t off =
		mapped ? 0
		       : model_draw(
				 m, model_draw(m, 3) ? w->size + 1 : MODEL_MAX);
	uint64_t len = 1 + model_draw(m, model_draw(m, 4) ? 9000 : 600000);
	uint8_t *map;

	w->there = true;
	if (mapped)
		len = w->size;
	if (len > MODEL_MAX - off)
		len = MODEL_MAX - off;
	for (uint64_t i = 0; i < len; i += 1 + model_draw(m, 40))
		w->data[off + i] = (uint8_t)(m->step + i);
	if (off + len > w->size)
		w->size = off + len;
	if (mapped && len) {
		map = mmap(
			NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			model_fail(m, f, "mmap");
		memcpy(map, w->data, len);
		if (msync(map, len, MS_SYNC) < 0 || munmap(map, len) < 0)
			model_fail(m, f, "msync");
	} else if (pwrite(fd, w->data + off, len, (off_t)off) != (ssize_t)len) {
		model_fail(m, f, "write");
	}
	if (close(fd) < 0)
		model_fail(m, f, "close");
}

static void model_truncate(struct model *m, unsigned f)
{
	struct model_file *w = &m->file[f];
	const uint64_t size = model_draw(m, MODEL_MAX);
	char path[4096];

	if (!w->there)
		return;
	if (truncate(model_path(m, f, path), (off_t)size) < 0)
		model_fail(m, f, "truncate");
	memset(w->data + size, 0, MODEL_MAX - size);
	w->size = size;
}

static void model_punch(struct model *m, unsigned f)
{
	struct model_file *w = &m->file[f];
	const uint64_t off = model_draw(m, MODEL_MAX - 1);
	const uint64_t len = 1 + model_draw(m, MODEL_MAX - off - 1);
	int fd;

	if (!w->there)
		return;
	fd = model_open(m, f, O_RDWR);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)off, (off_t)len) < 0)
		model_fail(m, f, "fallocate");
	memset(w->data + off, 0, len);
	(void)close(fd);
}

static void model_rename(struct model *m, unsigned f)
{
	const unsigned to = (unsigned)model_draw(m, MODEL_FILES);
	const struct model_file old = m->file[to];
	char a[4096];
	char b[4096];

	if (!m->file[f].there || f == to)
		return;
	if (rename(model_path(m, f, a), model_path(m, to, b)) < 0)
		model_fail(m, f, "rename");
	m->file[to] = m->file[f];
	m->file[f] = old;
	m->file[f].there = false;
	m->file[f].size = 0;
	memset(m->file[f].data, 0, MODEL_MAX);
}

static void model_unlink(struct model *m, unsigned f)
{
	struct model_file *w = &m->file[f];
	char path[4096];

	if (!w->there)
		return;
	if (unlink(model_path(m, f, path)) < 0)
		model_fail(m, f, "unlink");
	w->there = false;
	w->size = 0;
	memset(w->data, 0, MODEL_MAX);
}

static void model_read(struct model *m, unsigned f, uint64_t off, uint64_t len)
{
	const struct model_file *w = &m->file[f];
	const uint64_t have = off >= w->size	    ? 0
			      : len < w->size - off ? len
						    : w->size - off;
	const int fd = model_open(m, f, O_RDONLY);
	ssize_t n = pread(fd, m->room, len, (off_t)off);

	if (n < 0)
		model_fail(m, f, "read");
	errno = EILSEQ;
	if ((uint64_t)n != have || memcmp(m->room, w->data + off, have) != 0)
		model_fail(m, f, "it holds something else");
	(void)close(fd);
}

static void model_sync(struct model *m, unsigned f)
{
	int fd;

	if (!m->file[f].there)
		return;
	fd = model_open(m, f, O_RDWR);
	if (fsync(fd) < 0)
		model_fail(m, f, "fsync");
	(void)close(fd);
}

static void model_check(struct model *m)
{
	char path[4096];
	struct stat st;

	for (unsigned f = 0; f < MODEL_FILES; f++) {
		const bool there = stat(model_path(m, f, path), &st) == 0;

		errno = EILSEQ;
		if (there != m->file[f].there)
			model_fail(m, f, "being there");
		if (there && (uint64_t)st.st_size != m->file[f].size)
			model_fail(m, f, "size");
		if (there)
			model_read(m, f, 0, MODEL_MAX + 1);
	}
}

static void model_step(struct model *m)
{
	const unsigned f = (unsigned)model_draw(m, MODEL_FILES);

	switch (model_draw(m, 16)) {
	case 0:
		model_truncate(m, f);
		break;
	case 1:
		model_punch(m, f);
		break;
	case 2:
		model_rename(m, f);
		break;
	case 3:
		if (model_draw(m, 3) == 0)
			model_unlink(m, f);
		break;
	case 4:
		model_write(m, f, true);
		break;
	case 5:
		model_sync(m, f);
		break;
	case 6:
	case 7:
	case 8:
		if (m->file[f].there)
			model_read(m, f, model_draw(m, MODEL_MAX),
				1 + model_draw(m, 200000));
		break;
	default:
		model_write(m, f, false);
	}
}

int main(int argc, char **argv)
{
	static struct model m;
	uint64_t steps;

	if (argc != 5) {
		(void)fprintf(stderr, "usage: model DIR SEED STEPS COMMAND\n");
		return 2;
	}
	m.dir = argv[1];
	m.seed = strtoull(argv[2], NULL, 10);
	steps = strtoull(argv[3], NULL, 10);
	for (unsigned f = 0; f < MODEL_FILES; f++) {
		m.file[f].data = calloc(1, MODEL_MAX + 1);
		if (!m.file[f].data)
			return 2;
	}
	for (m.step = 1; m.step <= steps; m.step++) {
		model_step(&m);
		if (m.step % (steps / 4 ? steps / 4 : 1))
			continue;
		model_check(&m);
		if (system(argv[4]) != 0)
			model_fail(&m, 0, argv[4]);
		model_check(&m);
	}
	return 0;
}
