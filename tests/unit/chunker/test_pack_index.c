#include "base/wire.h"

#include "tests/unit/chunker/sample_pack.h"

#define FOOT_PLAIN (PACK_FOOT - SEAL_TAG)

static int read_index(const struct keys *k, const struct pluri_id *id,
	const uint8_t *bytes, size_t len, struct pack_entry **ret, uint32_t *n)
{
	struct sample_bytes b = {bytes, len};
	const struct pack_source src = {sample_read, &b, len};
	struct pluri_err err = {0};
	const int r = pack_index(k, id, &src, ret, n, &err);

	assert_int_equal(err.code, -r);
	return r;
}

static int try_index(
	const struct sample_pack *p, const uint8_t *bytes, size_t len)
{
	struct pack_entry *e = NULL;
	uint32_t n = 0;
	const int r = read_index(p->keys, &p->id, bytes, len, &e, &n);

	free(e);
	return r;
}

static void index__of_closed_packs__what_was_appended(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= SAMPLE_CHUNKS; n++) {
		struct pack_entry *e = NULL;
		struct sample_pack p;
		uint32_t count = 99;
		uint8_t *bytes;
		size_t len;

		sample_pack_init(&p, n);
		bytes = sample_slurp(p.fd, &len);
		assert_int_equal(
			read_index(p.keys, &p.id, bytes, len, &e, &count), 0);
		assert_int_equal(count, n);
		for (unsigned i = 0; i < n; i++) {
			assert_memory_equal(&e[i].id, &p.name[i], 32);
			assert_int_equal(e[i].off, p.place[i].off);
			assert_int_equal(e[i].bytes, p.place[i].bytes);
			assert_int_equal(e[i].plain, sample_sizes[i]);
		}
		free(e);
		free(bytes);
		sample_pack_done(&p);
	}
}

static void index__cut_at_every_length__refused(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, 2);
	bytes = sample_slurp(p.fd, &len);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(try_index(&p, bytes, n), -EBADMSG);
	free(bytes);
	sample_pack_done(&p);
}

static void index__any_byte_of_it_damaged__refused(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, 2);
	bytes = sample_slurp(p.fd, &len);
	for (size_t i = p.end; i < len; i++) {
		bytes[i] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(try_index(&p, bytes, len), -EBADMSG);
		bytes[i] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(try_index(&p, bytes, len), 0);
	free(bytes);
	sample_pack_done(&p);
}

static void index__another_pack_volume_or_key__refused(void **state)
{
	struct sample_pack p;
	struct sample_pack q;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, 1);
	bytes = sample_slurp(p.fd, &len);
	q = p;
	q.id.b[3] ^= 1;
	assert_int_equal(try_index(&q, bytes, len), -EBADMSG);
	q = p;
	q.keys = sample_keys(1, 2);
	assert_int_equal(try_index(&q, bytes, len), -EBADMSG);
	keys_free(q.keys);
	q.keys = sample_keys(2, 1);
	assert_int_equal(try_index(&q, bytes, len), -EBADMSG);
	keys_free(q.keys);
	free(bytes);
	sample_pack_done(&p);
}

/* What an attacker with the key, or a bug, could put into an index. */
struct lie {
	uint64_t off[2];
	uint32_t bytes[2], plain[2], frames[2];
	uint32_t count;
	uint64_t index_off;
	uint16_t version, flags;
	uint8_t reserved;
};

static const struct lie truth = {
	{64, 64 + 200}, {200, 150}, {88, 38}, {1, 1}, 2, 64 + 350, 1, 0, 0};

static void seal_part(const struct sample_pack *p, enum seal_domain domain,
	uint64_t off, const uint8_t *plain, size_t len, uint8_t *to)
{
	struct sealer *s = NULL;
	uint8_t aad[32];

	memcpy(aad, keys_volume(p->keys)->b, 16);
	memcpy(aad + 16, p->id.b, 16);
	assert_int_equal(sealer_new(p->keys, &p->id, &s, NULL), 0);
	assert_int_equal(sealer_seal(s, domain, off,
				 (struct pluri_span){aad, sizeof(aad)},
				 (struct pluri_span){plain, len}, to),
		0);
	sealer_free(s);
}

/* Properly sealed, after FORMAT.md; 350 bytes of frames are not looked at. */
static int index_of_lie(const struct lie *l)
{
	uint8_t pack[64 + 350 + 2 * 52 + SEAL_TAG + PACK_FOOT] = {0};
	uint8_t plain[2 * 52];
	uint8_t foot[FOOT_PLAIN] = "PLURFOOT";
	struct wire_out w = {plain, sizeof(plain), false};
	struct sample_pack p = {
		.keys = sample_keys(1, 1), .id = sample_id(100)};
	int r;

	for (unsigned i = 0; i < 2; i++) {
		wire_give(&w, "01234567890123456789012345678901", 32);
		wire_put(&w, l->off[i], 8);
		wire_put(&w, l->bytes[i], 4);
		wire_put(&w, l->plain[i], 4);
		wire_put(&w, l->frames[i], 4);
	}
	seal_part(&p, SEAL_INDEX, 414, plain, sizeof(plain), pack + 414);
	w = (struct wire_out){foot + 8, FOOT_PLAIN - 8, false};
	wire_put(&w, l->version, 2);
	wire_put(&w, l->flags, 2);
	wire_put(&w, l->count, 4);
	wire_put(&w, l->index_off, 8);
	wire_put(&w, (uint64_t)l->count * 52 + SEAL_TAG, 8);
	wire_put(&w, l->reserved, 1);
	seal_part(&p, SEAL_FOOT, sizeof(pack) - PACK_FOOT, foot, sizeof(foot),
		pack + sizeof(pack) - PACK_FOOT);
	r = try_index(&p, pack, sizeof(pack));
	keys_free(p.keys);
	return r;
}

static void index__authentic_but_impossible__refused(void **state)
{
	struct lie l = truth;

	(void)state;
	assert_int_equal(index_of_lie(&l), 0);
	l.off[1] = 263; /* overlap */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.off[1] = 265; /* gap */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.off[0] = 264, l.off[1] = 64; /* order */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.bytes[1] = 151; /* into the index */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l.bytes[1] = UINT32_MAX;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.bytes[1] = 149; /* unexplained byte */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.plain[0] = 0;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l.plain[0] = 87; /* stored larger than plain */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l.plain[0] = PLURI_CHUNK_MAX + 1;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.frames[0] = 2;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = (struct lie){{64, 64 + 112}, {112, 238}, {1, 126}, {1, 1}, 2,
		64 + 350, 1, 0, 0}; /* a chunk that stores nothing */
	assert_int_equal(index_of_lie(&l), -EBADMSG);
}

static void foot__authentic_but_impossible__refused(void **state)
{
	struct lie l = truth;

	(void)state;
	l.count = 1;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l.count = PACK_CHUNKS_MAX + 1;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l.count = UINT32_MAX;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.index_off = 63;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l.index_off = UINT64_MAX - 5;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.version = 2;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.flags = 1;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
	l = truth;
	l.reserved = 1;
	assert_int_equal(index_of_lie(&l), -EBADMSG);
}

/* Only the footer can be read. */
struct last {
	uint8_t foot[PACK_FOOT];
	uint64_t off;
};

static int read_last(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct last *l = arg;

	if (off != l->off || len != PACK_FOOT)
		return pluri_fail(err, EAGAIN, "not to be read");
	memcpy(to, l->foot, len);
	return 0;
}

static int index_of_count(uint32_t count)
{
	const uint64_t index = (uint64_t)count * 52 + SEAL_TAG;
	struct last l = {.off = 64 + index};
	const struct pack_source src = {read_last, &l, l.off + PACK_FOOT};
	struct sample_pack p = {
		.keys = sample_keys(1, 1), .id = sample_id(100)};
	uint8_t foot[FOOT_PLAIN] = "PLURFOOT\1";
	struct wire_out w = {foot + 12, FOOT_PLAIN - 12, false};
	struct pack_entry *e = NULL;
	uint32_t n;
	int r;

	wire_put(&w, count, 4);
	wire_put(&w, 64, 8);
	wire_put(&w, index, 8);
	seal_part(&p, SEAL_FOOT, l.off, foot, sizeof(foot), l.foot);
	r = pack_index(p.keys, &p.id, &src, &e, &n, NULL);
	keys_free(p.keys);
	return r;
}

static void foot__more_chunks_than_the_ceiling__refused_unread(void **state)
{
	(void)state;
	assert_int_equal(index_of_count(PACK_CHUNKS_MAX), -EAGAIN);
	assert_int_equal(index_of_count(PACK_CHUNKS_MAX + 1), -EBADMSG);
}

static int read_fails(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	(void)arg, (void)off, (void)to, (void)len;
	return pluri_fail(err, EAGAIN, "nobody home");
}

static void index__source_fails__its_error(void **state)
{
	const struct pack_source src = {read_fails, NULL, 1000};
	const struct pluri_id id = sample_id(1);
	struct keys *k = sample_keys(1, 1);
	struct pack_entry *e = NULL;
	uint32_t n;

	(void)state;
	assert_int_equal(pack_index(k, &id, &src, &e, &n, NULL), -EAGAIN);
	assert_null(e);
	keys_free(k);
}

static void head__any_bit_flipped__refused(void **state)
{
	const struct pluri_id volume = sample_id(1);
	const struct pluri_id id = sample_id(2);
	uint8_t head[PACK_HEAD];

	(void)state;
	pack_head_encode(&volume, &id, head);
	assert_int_equal(pack_head_check(head, &volume, &id, NULL), 0);
	for (unsigned bit = 0; bit < 8 * PACK_HEAD; bit++) {
		head[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			pack_head_check(head, &volume, &id, NULL), -EBADMSG);
		head[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index__of_closed_packs__what_was_appended),
		cmocka_unit_test(index__cut_at_every_length__refused),
		cmocka_unit_test(index__any_byte_of_it_damaged__refused),
		cmocka_unit_test(index__another_pack_volume_or_key__refused),
		cmocka_unit_test(index__authentic_but_impossible__refused),
		cmocka_unit_test(foot__authentic_but_impossible__refused),
		cmocka_unit_test(
			foot__more_chunks_than_the_ceiling__refused_unread),
		cmocka_unit_test(index__source_fails__its_error),
		cmocka_unit_test(head__any_bit_flipped__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
