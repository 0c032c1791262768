#include <errno.h>

#include "chunker/stripe.h"

#include "tests/unit/chunker/sample.h"

static void layout__mirrors__parse_and_print(void **state)
{
	char name[LAYOUT_TEXT];
	char text[LAYOUT_TEXT];
	struct layout l;

	(void)state;
	for (unsigned n = 1; n <= PLURI_SHARDS_MAX; n++) {
		(void)snprintf(name, sizeof(name), "mirror:%u", n);
		assert_int_equal(layout_parse(name, &l, NULL), 0);
		assert_int_equal(l.kind, STRIPE_MIRROR);
		assert_int_equal(l.k, 1);
		assert_int_equal(layout_shards(&l), n);
		assert_int_equal(layout_quorum(&l), n > 1 ? n - 1 : 1);
		assert_string_equal(layout_text(&l, text), name);
	}
}

static void layout__not_built_yet__says_so(void **state)
{
	struct pluri_err err;
	struct layout l = {.k = 77};

	(void)state;
	assert_int_equal(layout_parse("erasure:4+2", &l, &err), -ENOTSUP);
	assert_int_equal(layout_parse("disperse:3+2", &l, &err), -ENOTSUP);
	assert_int_equal(l.k, 77);
	l = (struct layout){STRIPE_ERASURE, 4, 2};
	assert_string_equal(
		layout_text(&l, (char[LAYOUT_TEXT]){0}), "erasure:4+2");
	assert_int_equal(layout_quorum(&l), 5);
	assert_int_equal(stripe_body_bytes(&l, 100), 0);
	assert_int_equal(
		stripe_body(&l, 0, NULL, NULL, 0, NULL, &err), -ENOTSUP);
	assert_int_equal(stripe_join(&l, 0, 0, NULL, 0, NULL, &err), -ENOTSUP);
}

static void layout__nonsense__refused(void **state)
{
	static const char *const bad[] = {"", "mirror", "mirror:", "mirror:0",
		"mirror:33", "mirror:02", "mirror:100", "mirror:2 ",
		" mirror:2", "mirror:-1", "mirror:2+1", "Mirror:2", "mirror2",
		"erasure:4", "erasure:4+", "erasure:+2", "erasure:0+2",
		"erasure:4+0", "erasure:30+3", "erasure:4+2+1",
		"disperse:99+99", "raid:5", "mirror:4294967297"};
	struct pluri_err err;
	struct layout l;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = 0;
		assert_int_equal(layout_parse(bad[i], &l, &err), -EINVAL);
		assert_true(err.text[0] != 0);
	}
}

static struct shard_head sample_head(void)
{
	return (struct shard_head){sample_id(1), sample_id(20),
		{STRIPE_MIRROR, 1, 2}, 2, 1000, 0x1234567890abcdef, 1000,
		0x1234567890abcdef};
}

static void head__encoded__decodes(void **state)
{
	const struct shard_head h = sample_head();
	uint8_t bytes[SHARD_HEAD];
	uint8_t again[SHARD_HEAD];
	struct shard_head back;

	(void)state;
	shard_head_encode(&h, bytes);
	assert_int_equal(shard_head_decode(bytes, &back, NULL), 0);
	assert_memory_equal(&back.volume, &h.volume, 16);
	assert_memory_equal(&back.pack, &h.pack, 16);
	assert_int_equal(back.index, 2);
	assert_int_equal(back.pack_bytes, 1000);
	assert_true(back.pack_sum == h.pack_sum);
	shard_head_encode(&back, again);
	assert_memory_equal(bytes, again, sizeof(bytes));
}

static void head__any_bit_flipped__refused(void **state)
{
	const struct shard_head h = sample_head();
	uint8_t bytes[SHARD_HEAD];
	struct shard_head back;

	(void)state;
	shard_head_encode(&h, bytes);
	for (unsigned bit = 0; bit < 8 * SHARD_HEAD; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			shard_head_decode(bytes, &back, NULL), -EBADMSG);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* Decode a header whose checksum is right. */
static int judge(struct shard_head h)
{
	uint8_t bytes[SHARD_HEAD];

	shard_head_encode(&h, bytes);
	return shard_head_decode(bytes, &h, NULL);
}

static void head__impossible_with_a_right_sum__refused(void **state)
{
	struct shard_head h = sample_head();

	(void)state;
	assert_int_equal(judge(h), 0);
	h.index = 3;
	assert_int_equal(judge(h), -EBADMSG);
	h = sample_head();
	h.layout.k = 2;
	assert_int_equal(judge(h), -EBADMSG);
	h = sample_head();
	h.layout.m = PLURI_SHARDS_MAX;
	assert_int_equal(judge(h), -EBADMSG);
	h = sample_head();
	h.layout.kind = STRIPE_ERASURE;
	assert_int_equal(judge(h), -EBADMSG);
	h.layout.kind = (enum stripe_kind)9;
	assert_int_equal(judge(h), -EBADMSG);
	h = sample_head();
	h.pack_bytes = h.body_bytes = 0;
	assert_int_equal(judge(h), -EBADMSG);
	h.pack_bytes = h.body_bytes = PLURI_PACK_MAX + 1;
	assert_int_equal(judge(h), -EBADMSG);
	h.pack_bytes = h.body_bytes = PLURI_PACK_MAX;
	assert_int_equal(judge(h), 0);
	h.body_bytes--;
	assert_int_equal(judge(h), -EBADMSG);
	h = sample_head();
	h.body_sum++;
	assert_int_equal(judge(h), -EBADMSG);
}

static int read_pack(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	(void)err;
	memcpy(to, (const uint8_t *)arg + off, len);
	return 0;
}

static void mirror__any_range_of_any_copy__the_pack(void **state)
{
	const struct layout l = {STRIPE_MIRROR, 1, 2};
	uint8_t pack[500];
	uint8_t object[SHARD_HEAD + 500];
	uint8_t out[500];

	(void)state;
	sample_noise(pack, sizeof(pack), 1);
	assert_int_equal(stripe_body_bytes(&l, 500), 500);
	for (uint64_t off = 0; off < 500; off += 37) {
		const size_t len = (size_t)(500 - off) / 2;
		struct pluri_room body = {object + SHARD_HEAD, 500, 0};
		struct pluri_room to = {out, len, 0};
		struct stripe_piece piece = {.index = (unsigned)(off % 3)};
		uint64_t at;
		uint64_t n;
		unsigned need;

		assert_int_equal(stripe_body(&l, piece.index, read_pack, pack,
					 0, &body, NULL),
			0);
		assert_int_equal(body.len, 500);
		stripe_range(&l, 500, off, len, &at, &n, &need);
		assert_int_equal(need, 1);
		piece.bytes = (struct pluri_span){object + at, n};
		assert_int_equal(
			stripe_join(&l, 500, off, &piece, 1, &to, NULL), 0);
		assert_int_equal(to.len, len);
		assert_memory_equal(out, pack + off, len);
	}
}

static void join__wrong_pieces__refused(void **state)
{
	const struct layout l = {STRIPE_MIRROR, 1, 1};
	uint8_t out[8];
	struct pluri_room to = {out, 8, 0};
	struct stripe_piece piece = {0, {"1234567", 7}};

	(void)state;
	assert_int_equal(
		stripe_join(&l, 100, 0, &piece, 1, &to, NULL), -EBADMSG);
	piece.bytes.len = 8;
	assert_int_equal(stripe_join(&l, 100, 92, &piece, 1, &to, NULL), 0);
	assert_int_equal(
		stripe_join(&l, 100, 93, &piece, 1, &to, NULL), -EINVAL);
	assert_int_equal(
		stripe_join(&l, 100, 0, &piece, 0, &to, NULL), -EBADMSG);
	piece.index = 2;
	assert_int_equal(
		stripe_join(&l, 100, 0, &piece, 1, &to, NULL), -EBADMSG);
	assert_int_equal(
		stripe_body(&l, 2, read_pack, out, 0, &to, NULL), -EINVAL);
}

static void name__made_and_parsed__same_shard(void **state)
{
	const struct pluri_id pack = sample_id(0xf7);
	char name[PLURI_OBJECT_KEY_MAX + 1];
	struct pluri_id back;
	unsigned index;

	(void)state;
	for (unsigned i = 0; i < PLURI_SHARDS_MAX; i++) {
		shard_name(&pack, i, name);
		assert_int_equal(shard_name_parse(name, &back, &index), 0);
		assert_memory_equal(&back, &pack, sizeof(back));
		assert_int_equal(index, i);
	}
	assert_string_equal(
		name, "packs/f7/f7f8f9fafbfcfdfeff00010203040506-31");
}

static void name__not_a_shards__refused(void **state)
{
	static const char *const bad[] = {"", "packs/", "pluri-volume",
		"packs/f7/f7f8f9fafbfcfdfeff00010203040506-32",
		"packs/f8/f7f8f9fafbfcfdfeff00010203040506-00",
		"packs/f7/F7f8f9fafbfcfdfeff00010203040506-00",
		"packs/f7/f7f8f9fafbfcfdfeff00010203040506-0",
		"packs/f7/f7f8f9fafbfcfdfeff00010203040506-000",
		"packs/f7/f7f8f9fafbfcfdfeff00010203040506-0x",
		"packs/f7/f7f8f9fafbfcfdfeff00010203040506-/:",
		"packs/f7/f7f8f9fafbfcfdfeff00010203040506_00",
		"packs-f7/f7f8f9fafbfcfdfeff00010203040506-00",
		"packt/f7/f7f8f9fafbfcfdfeff00010203040506-00"};
	struct pluri_id back;
	unsigned index;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			shard_name_parse(bad[i], &back, &index), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout__mirrors__parse_and_print),
		cmocka_unit_test(layout__not_built_yet__says_so),
		cmocka_unit_test(layout__nonsense__refused),
		cmocka_unit_test(head__encoded__decodes),
		cmocka_unit_test(head__any_bit_flipped__refused),
		cmocka_unit_test(head__impossible_with_a_right_sum__refused),
		cmocka_unit_test(mirror__any_range_of_any_copy__the_pack),
		cmocka_unit_test(join__wrong_pieces__refused),
		cmocka_unit_test(name__made_and_parsed__same_shard),
		cmocka_unit_test(name__not_a_shards__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
