#include <errno.h>
#include <stdlib.h>

#include "chunker/frame.h"

#include "tests/unit/chunker/sample.h"

#define OFF 4096u

/* One sealed frame of a chunk, with all that a reader needs. */
struct fixture {
	struct keys *keys;
	struct frame_at at;
	struct frame_id want;
	uint8_t plain[1000];
	uint8_t sealed[1000 + FRAME_OVERHEAD];
	size_t len;
};

static void seal_into(struct fixture *f, bool compress)
{
	struct encoded *e =
		sample_chunk(f->keys, f->plain, sizeof(f->plain), compress);
	struct sealer *s = NULL;

	f->want = (struct frame_id){e->id, e->plain, 0, 1};
	f->len = e->frame[0].stored + FRAME_OVERHEAD;
	assert_int_equal(e->frame[0].zstd, compress);
	assert_int_equal(sealer_new(f->keys, &f->at.pack, &s, NULL), 0);
	assert_int_equal(frame_seal(s, f->keys, &f->at.pack, OFF, &f->want,
				 &e->frame[0], f->sealed),
		0);
	sealer_free(s);
	encoded_free(e);
}

static void fixture_init(struct fixture *f, bool compress)
{
	f->keys = sample_keys(1, 1);
	f->at = (struct frame_at){f->keys, sample_id(50), OFF};
	sample_noise(f->plain, sizeof(f->plain), 1);
	if (compress)
		memset(f->plain, 'a', sizeof(f->plain));
	seal_into(f, compress);
}

static int open_as(const struct fixture *f, const struct frame_at *at,
	const struct frame_id *want)
{
	uint8_t out[1000];
	struct pluri_room room = {out, sizeof(out), 0};
	struct pluri_err err;
	const int r = frame_open(
		at, (struct pluri_span){f->sealed, f->len}, want, &room, &err);

	if (r == 0) {
		assert_int_equal(room.len, sizeof(f->plain));
		assert_memory_equal(out, f->plain, sizeof(f->plain));
	} else {
		assert_int_equal(room.len, 0);
		assert_int_equal(err.code, -r);
	}
	return r;
}

static void open__plain_and_compressed__right_bytes(void **state)
{
	(void)state;
	for (unsigned compress = 0; compress < 2; compress++) {
		struct fixture f;
		struct frame_head h;

		fixture_init(&f, compress);
		assert_int_equal(open_as(&f, &f.at, &f.want), 0);
		assert_int_equal(
			frame_peek(&f.at,
				(struct pluri_span){f.sealed, FRAME_HEAD}, &h,
				NULL),
			0);
		assert_memory_equal(&h.id.chunk, &f.want.chunk, 32);
		assert_int_equal(h.plain, 1000);
		assert_int_equal(h.stored + FRAME_OVERHEAD, f.len);
		assert_int_equal(h.zstd, compress);
		assert_int_equal(h.origin_off, OFF);
		keys_free(f.keys);
	}
}

/* One opener for many, some of which are wrong. */
static void opener__right_and_wrong_frames__judged_each_alone(void **state)
{
	struct encode_kit *kit = encode_kit_new();
	struct frame_opener *o = NULL;
	uint8_t out[1000];
	struct fixture f;

	(void)state;
	fixture_init(&f, true);
	assert_int_equal(
		frame_opener_new(f.keys, &f.at.pack, kit, &o, NULL), 0);
	for (unsigned i = 0; i < 6; i++) {
		struct pluri_room room = {out, sizeof(out), 0};
		const struct pluri_span bytes = {f.sealed, f.len};
		struct frame_id want = f.want;

		want.index += i == 1;
		f.sealed[FRAME_HEAD + 3] ^= i == 2;
		assert_int_equal(frame_opener_open(o, OFF + (i == 3), bytes,
					 &want, &room, NULL),
			i == 0 || i > 3 ? 0 : -EBADMSG);
		f.sealed[FRAME_HEAD + 3] ^= i == 2;
		if (room.len == 0)
			continue;
		assert_int_equal(room.len, sizeof(f.plain));
		assert_memory_equal(out, f.plain, sizeof(f.plain));
		memset(out, 0, sizeof(out));
	}
	frame_opener_free(o);
	encode_kit_free(kit);
	keys_free(f.keys);
}

/* Refused, and the story says that the place holds something else. */
static void expect_stranger(const struct fixture *f, struct frame_id want)
{
	uint8_t out[1000];
	struct pluri_room room = {out, sizeof(out), 0};
	struct pluri_err err;

	assert_int_equal(
		frame_open(&f->at, (struct pluri_span){f->sealed, f->len},
			&want, &room, &err),
		-EBADMSG);
	assert_non_null(strstr(err.text, "was expected"));
}

static void open__another_frame_than_wanted__refused(void **state)
{
	struct fixture f;
	struct frame_id want;

	(void)state;
	fixture_init(&f, false);
	want = f.want;
	want.chunk.b[31] ^= 1;
	expect_stranger(&f, want);
	want = f.want;
	want.chunk_bytes++;
	expect_stranger(&f, want);
	want = f.want;
	want.index++;
	expect_stranger(&f, want);
	want = f.want;
	want.count++;
	expect_stranger(&f, want);
	keys_free(f.keys);
}

static void open__another_place_pack_volume_or_key__refused(void **state)
{
	struct keys *volume = sample_keys(1, 2);
	struct keys *key = sample_keys(2, 1);
	struct fixture f;
	struct frame_at at;

	(void)state;
	fixture_init(&f, false);
	at = f.at;
	at.off++;
	assert_int_equal(open_as(&f, &at, &f.want), -EBADMSG);
	at = f.at;
	at.pack.b[0] ^= 1;
	assert_int_equal(open_as(&f, &at, &f.want), -EBADMSG);
	at = f.at;
	at.keys = volume;
	assert_int_equal(open_as(&f, &at, &f.want), -EBADMSG);
	at.keys = key;
	assert_int_equal(open_as(&f, &at, &f.want), -EBADMSG);
	keys_free(f.keys);
	keys_free(volume);
	keys_free(key);
}

static void open__flipped_or_cut__refused(void **state)
{
	(void)state;
	for (unsigned compress = 0; compress < 2; compress++) {
		struct fixture f;
		size_t whole;

		fixture_init(&f, compress);
		for (size_t i = 0; i < f.len; i++) {
			f.sealed[i] ^= (uint8_t)(1u << i % 8);
			assert_int_equal(open_as(&f, &f.at, &f.want), -EBADMSG);
			f.sealed[i] ^= (uint8_t)(1u << i % 8);
		}
		whole = f.len;
		for (f.len = 0; f.len < whole; f.len++)
			assert_int_equal(open_as(&f, &f.at, &f.want), -EBADMSG);
		assert_int_equal(open_as(&f, &f.at, &f.want), 0);
		keys_free(f.keys);
	}
}

static void open__body_of_another_frame__refused(void **state)
{
	struct fixture f;
	struct fixture g;

	(void)state;
	fixture_init(&f, false);
	g = f;
	g.plain[0] ^= 1;
	seal_into(&g, false);
	memcpy(f.sealed + FRAME_HEAD, g.sealed + FRAME_HEAD,
		f.len - FRAME_HEAD);
	assert_int_equal(open_as(&f, &f.at, &f.want), -EBADMSG);
	keys_free(f.keys);
}

/* Repacking by hand: the body as it is, under a new header elsewhere. */
static void open__body_copied_to_another_pack__right_bytes(void **state)
{
	uint8_t head[FRAME_HEAD_PLAIN];
	uint8_t aad[32];
	struct fixture f;
	struct frame_head h;
	struct sealer *s = NULL;

	(void)state;
	fixture_init(&f, true);
	assert_int_equal(frame_peek(&f.at, (struct pluri_span){f.sealed, f.len},
				 &h, NULL),
		0);
	f.at.pack = sample_id(90);
	f.at.off = 64;
	frame_head_encode(&h, head);
	memcpy(aad, keys_volume(f.keys)->b, 16);
	memcpy(aad + 16, f.at.pack.b, 16);
	assert_int_equal(sealer_new(f.keys, &f.at.pack, &s, NULL), 0);
	assert_int_equal(
		sealer_seal(s, SEAL_HEAD, 64,
			(struct pluri_span){aad, sizeof(aad)},
			(struct pluri_span){head, sizeof(head)}, f.sealed),
		0);
	assert_int_equal(open_as(&f, &f.at, &f.want), 0);
	sealer_free(s);
	keys_free(f.keys);
}

static void open__room_too_small__refused(void **state)
{
	uint8_t out[999];
	struct pluri_room room = {out, sizeof(out), 0};
	struct fixture f;

	(void)state;
	fixture_init(&f, true);
	assert_int_equal(frame_open(&f.at, (struct pluri_span){f.sealed, f.len},
				 &f.want, &room, NULL),
		-EINVAL);
	keys_free(f.keys);
}

static const struct frame_head good = {
	.id = {.chunk_bytes = FRAME_PLAIN + 100, .index = 1, .count = 2},
	.plain = 100,
	.stored = 80,
	.zstd = true,
	.origin_off = 64,
};

static void head__every_byte_changed__refused_or_round_trips(void **state)
{
	uint8_t bytes[FRAME_HEAD_PLAIN];
	uint8_t again[FRAME_HEAD_PLAIN];
	struct frame_head h;

	(void)state;
	frame_head_encode(&good, bytes);
	assert_int_equal(frame_head_decode(bytes, &h, NULL), 0);
	for (unsigned bit = 0; bit < 8 * FRAME_HEAD_PLAIN; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (frame_head_decode(bytes, &h, NULL) == 0) {
			frame_head_encode(&h, again);
			assert_memory_equal(bytes, again, sizeof(bytes));
		}
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static int judge(struct frame_head h)
{
	uint8_t bytes[FRAME_HEAD_PLAIN];
	struct frame_head back;

	frame_head_encode(&h, bytes);
	return frame_head_decode(bytes, &back, NULL);
}

static void head__impossible_sizes__refused(void **state)
{
	struct frame_head h = good;

	(void)state;
	assert_int_equal(judge(h), 0);
	h.plain = 99;
	assert_int_equal(judge(h), -EBADMSG);
	h = good;
	h.stored = 100;
	assert_int_equal(judge(h), -EBADMSG);
	h.zstd = false;
	assert_int_equal(judge(h), 0);
	h = good;
	h.stored = 0;
	assert_int_equal(judge(h), -EBADMSG);
	h = good;
	h.id.index = 2;
	assert_int_equal(judge(h), -EBADMSG);
	h = good;
	h.id.count = 3;
	assert_int_equal(judge(h), -EBADMSG);
	h = good;
	h.id.chunk_bytes = PLURI_CHUNK_MAX + 1;
	assert_int_equal(judge(h), -EBADMSG);
	h.id.chunk_bytes = 0;
	assert_int_equal(judge(h), -EBADMSG);
	h = good;
	h.origin_off = PLURI_PACK_MAX;
	assert_int_equal(judge(h), -EBADMSG);
}

static void head__newer_version_or_unknown_flag__refused(void **state)
{
	uint8_t bytes[FRAME_HEAD_PLAIN];
	struct frame_head h;

	(void)state;
	frame_head_encode(&good, bytes);
	bytes[0] = 2;
	assert_int_equal(frame_head_decode(bytes, &h, NULL), -EBADMSG);
	bytes[0] = 1;
	bytes[2] |= 2;
	assert_int_equal(frame_head_decode(bytes, &h, NULL), -EBADMSG);
	bytes[2] = 1;
	bytes[20] = 1; /* reserved */
	assert_int_equal(frame_head_decode(bytes, &h, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open__plain_and_compressed__right_bytes),
		cmocka_unit_test(
			opener__right_and_wrong_frames__judged_each_alone),
		cmocka_unit_test(open__another_frame_than_wanted__refused),
		cmocka_unit_test(
			open__another_place_pack_volume_or_key__refused),
		cmocka_unit_test(open__flipped_or_cut__refused),
		cmocka_unit_test(open__body_of_another_frame__refused),
		cmocka_unit_test(
			open__body_copied_to_another_pack__right_bytes),
		cmocka_unit_test(open__room_too_small__refused),
		cmocka_unit_test(
			head__every_byte_changed__refused_or_round_trips),
		cmocka_unit_test(head__impossible_sizes__refused),
		cmocka_unit_test(head__newer_version_or_unknown_flag__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
