/*
 * tests/unit/chunker/sample_pack.h - packs in unnamed files, for tests.
 */
#ifndef PLURI_TESTS_CHUNKER_SAMPLE_PACK_H
#define PLURI_TESTS_CHUNKER_SAMPLE_PACK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chunker/pack.h"

#include "tests/unit/chunker/sample.h"

#define SAMPLE_CHUNKS 4u

/* Their sizes: small, compressible, of three frames, of one byte. */
static const size_t sample_sizes[SAMPLE_CHUNKS] = { 300, 5000,
	2 * FRAME_PLAIN + 10, 1 };

struct sample_pack {
	struct keys *keys;
	struct pluri_id id;
	int fd;
	struct pack_place place[SAMPLE_CHUNKS];
	struct pluri_digest name[SAMPLE_CHUNKS];
	uint64_t end; /* of the last chunk */
	struct pack_seal seal;
};

__attribute__((unused)) static void sample_plain(unsigned chunk, uint8_t *to)
{
	if (chunk == 0 || chunk == 3)
		sample_noise(to, sample_sizes[chunk], chunk);
	else
		memset(to, (int)('a' + chunk), sample_sizes[chunk]);
}

__attribute__((unused)) static int sample_file(void)
{
	const int fd = memfd_create("pack", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* A file's bytes, malloc'd. */
__attribute__((unused)) static uint8_t *sample_slurp(int fd, size_t *ret_len)
{
	const off_t len = lseek(fd, 0, SEEK_END);
	uint8_t *p = malloc((size_t)len + 1);

	assert_non_null(p);
	assert_int_equal(pread(fd, p, (size_t)len, 0), len);
	*ret_len = (size_t)len;
	return p;
}

__attribute__((unused)) static int sample_append(const struct keys *keys,
	struct pack_writer *w, unsigned chunk, struct pack_place *ret,
	struct pluri_digest *ret_name)
{
	uint8_t *p = malloc(sample_sizes[chunk]);
	struct encoded *e;
	int r;

	assert_non_null(p);
	sample_plain(chunk, p);
	e = sample_chunk(keys, p, sample_sizes[chunk], true);
	r = pack_append(w, e, ret, NULL);
	*ret_name = e->id;
	encoded_free(e);
	free(p);
	return r;
}

/* A closed pack of the first n sample chunks. */
__attribute__((unused)) static void sample_pack_init(struct sample_pack *p,
	unsigned n)
{
	struct pack_writer *w = NULL;

	p->keys = sample_keys(1, 1);
	p->id = sample_id(100);
	p->fd = sample_file();
	assert_int_equal(pack_create(p->keys, &p->id, p->fd, &w, NULL), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sample_append(p->keys, w, i, &p->place[i],
					 &p->name[i]),
			0);
	p->end = pack_bytes(w);
	assert_int_equal(pack_close(w, &p->seal, NULL), 0);
	pack_writer_free(w);
}

__attribute__((unused)) static void sample_pack_done(struct sample_pack *p)
{
	(void)close(p->fd);
	keys_free(p->keys);
}

/* pack_source over memory. */
struct sample_bytes {
	const uint8_t *p;
	size_t len;
};

__attribute__((unused)) static int sample_read(void *arg, uint64_t off,
	void *to, size_t len, struct pluri_err *err)
{
	const struct sample_bytes *b = arg;

	if (off > b->len || len > b->len - off)
		return pluri_fail(err, EBADMSG, "beyond the sample");
	memcpy(to, b->p + off, len);
	return 0;
}

#endif
