/* What is overwritten and deleted leaves the packs, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/balance.h"
#include "fs/commit.h"
#include "fs/roster.h"
#include "tests/unit/fs/yard.h"

/* --- space ---------------------------------------------------------------- */

static void round__poor_pack__living_move_and_it_goes(void **state)
{
	struct repack_stats s;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	assert_int_equal(yard_packs(&y), 1);
	yard_poor(&y);
	yard_collect(&y);
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.copied, 3);
	assert_int_equal(s.switched, 3);
	assert_int_equal(s.forgotten, FILES - 3);
	assert_int_equal(s.buried, 1);
	assert_int_equal(s.deleted, 2);
	assert_true(s.scanned_bytes > 3 * LEN); /* what is left: rich */
	assert_true(s.scanned_bytes < 4 * LEN);
	assert_true(s.scanned_live * 100 > s.scanned_bytes * 95);
	assert_int_equal(yard_packs(&y), 1);
	yard_check_all(&y);
	yard_collect(&y); /* what is left is rich */
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.copied, 3);
	yard_again(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

static void round__nothing_lives__packs_go_without_copies(void **state)
{
	struct repack_stats s;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	for (unsigned i = 0; i < FILES; i++)
		yard_put(&y, i, 0);
	yard_collect(&y);
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.copied, 0);
	assert_int_equal(s.buried, 1);
	assert_int_equal(yard_packs(&y), 0);
	assert_int_equal(yard_locals(&y), 0);
	yard_check_all(&y);
	house_free(&y.h);
}

static void round__rich_or_young_or_off__left_alone(void **state)
{
	struct repack_stats s;
	static const char *const volume[] = {"repack_age = 0ms\nrepack = 20%",
		"repack_age = 1h\nrepack = 90%",
		"repack_age = 0ms\nrepack = off"};
	struct yard y;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		yard_begin(&y, volume[i]);
		yard_poor(&y);
		yard_turn(&y);
		assert_true(house_paid(&y.h, 20000));
		yard_turn(&y);
		repack_stats(y.h.v->repack, &s);
		assert_true(i == 0 ? s.scanned_live * 2 < s.scanned_bytes
				   : s.scanned_bytes == 0);
		assert_int_equal(y.h.v->repack->copies, 0);
		assert_int_equal(y.h.v->repack->cools, 0);
		assert_int_equal(yard_packs(&y), 1);
		yard_check_all(&y);
		house_free(&y.h);
	}
}

static void round__deleted_lately__objects_are_kept(void **state)
{
	struct yard y;

	(void)state;
	yard_begin(&y, AT_ONCE "keep_deleted = 1h");
	yard_poor(&y);
	for (unsigned i = 0; i < 6; i++) {
		yard_turn(&y);
		assert_true(house_paid(&y.h, 20000));
	}
	assert_int_equal(yard_packs(&y), 1);
	assert_int_equal(yard_graves(&y), 2);
	assert_int_equal(yard_objects(&y, 'a'), 2);
	y.h.v->config->keep_deleted_ms = 0;
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

/* --- the world moves meanwhile -------------------------------------------- */

static void copies__deleted_or_overwritten_meanwhile__not_revived(void **state)
{
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_poor(&y);
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3);
	yard_put(&y, 0, 0);
	yard_put(&y, 4, 77);
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

/* Dead when it was counted, and found by its name before it was forgotten. */
static void chunk__comes_to_life_again__stays(void **state)
{
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	for (unsigned i = 1; i < FILES; i++)
		yard_put(&y, i, 0);
	assert_int_equal(repack_bury_settle(y.h.v->repack, 1, NULL), 0);
	assert_int_equal(y.h.v->repack->cools, 0); /* f0 lives */
	yard_put(&y, 1, 1); /* the same content */
	yard_put(&y, 0, 0);
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

/* A chunk recorded in a pack that waits to be buried: it is not. */
static void pack__gets_a_chunk_while_cooling__not_buried(void **state)
{
	struct chunk_row c = {.bytes = 10,
		.off = 100,
		.plain = 10,
		.frames = 1,
		.frame = {10}};
	struct meta_tx *tx = NULL;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	for (unsigned i = 0; i < FILES; i++)
		yard_put(&y, i, 0);
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->cools, 1);
	c.pack = y.h.v->repack->cool[0].pack;
	assert_int_equal(meta_begin(y.h.v->meta, &tx, NULL), 0);
	assert_int_equal(chunks_add(tx, &c, NULL), 0);
	assert_int_equal(chunks_ref(tx, c.num, 1, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	yard_turn(&y);
	assert_int_equal(yard_packs(&y), 1);
	assert_int_equal(yard_graves(&y), 0);
	house_free(&y.h);
}

/* --- stores --------------------------------------------------------------- */

static void deleting__store_is_in_trouble__owed_until_it_is_done(void **state)
{
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	for (unsigned i = 0; i < FILES; i++)
		yard_put(&y, i, 0);
	house_fault(&y.h, "error EBUSY op=del\n");
	yard_turn(&y);
	yard_turn(&y);
	assert_int_equal(yard_packs(&y), 0);
	assert_int_equal(yard_graves(&y), 1);
	assert_int_equal(yard_objects(&y, 'a'), 0);
	assert_int_equal(yard_objects(&y, 'b'), 1);
	assert_int_equal(commit_now(y.h.v->commit, false, NULL), 0);
	yard_again(&y);
	assert_int_equal(yard_graves(&y), 1);
	house_fault(&y.h, "");
	yard_collect(&y);
	house_free(&y.h);
}

/* The house's INI without store a. */
static struct config *ini_without_a(struct yard *y)
{
	struct pluri_err err = {0};
	struct config *c = NULL;
	char *text = strdup(y->h.ini);
	char *a = strstr(text, "[store \"a\"]");
	char *b = strstr(text, "[store \"b\"]");
	char *list;

	memmove(a, b, strlen(b) + 1);
	list = strstr(text, "stores = a b");
	assert_non_null(list);
	memcpy(list, "stores = b c", 12);
	if (config_parse(y->h.dir, text, strlen(text), &c, &err) < 0)
		fail_msg("%s", err.text);
	free(text);
	return c;
}

static void apply(struct yard *y, const struct config *want)
{
	struct pluri_err err = {0};
	json_t *j = NULL;

	if (balance_apply(y->h.v->balance, want, &j, &err) < 0)
		fail_msg("%s", err.text);
	json_decref(j);
}

/* Is there something to do about store a? */
static bool plan_has_a(struct yard *y, const struct config *want)
{
	struct pluri_err err = {0};
	json_t *j = NULL;
	json_t *c;
	bool pending;
	bool has = false;
	size_t i;

	if (balance_plan(y->h.v->balance, want, &j, &err) < 0)
		fail_msg("%s", err.text);
	json_array_foreach(json_object_get(j, "changes"), i, c) has |=
		strcmp(json_string_value(json_object_get(c, "name")), "a") == 0;
	pending = json_is_true(json_object_get(j, "pending"));
	json_decref(j);
	assert_int_equal(has, pending);
	return has;
}

/* It holds nothing but what is to be deleted: that is not left behind. */
static void store__removed_with_garbage__swept_then_forgotten(void **state)
{
	const struct timespec tick = {.tv_nsec = 5000000};
	struct store_row row = {0};
	struct config *want;
	json_t *j = NULL;
	struct yard y;

	(void)state;
	yard_begin(&y, AT_ONCE "keep_deleted = 1h");
	for (unsigned i = 0; i < FILES; i++)
		yard_put(&y, i, 0);
	for (unsigned i = 0; i < 3; i++)
		yard_turn(&y);
	assert_int_equal(yard_packs(&y), 0);
	assert_int_equal(yard_graves(&y), 2);
	want = ini_without_a(&y);
	apply(&y, want);
	assert_int_equal(roster_find_store(y.h.v->roster, "a", &row), 0);
	assert_int_equal(row.state, STORE_DRAINING);
	assert_true(plan_has_a(&y, want)); /* still */
	assert_int_equal(balance_start(y.h.v->balance, &j, NULL), 0);
	json_decref(j);
	while (row.state != STORE_DRAINED) {
		(void)nanosleep(&tick, NULL);
		assert_int_equal(
			roster_find_store(y.h.v->roster, "a", &row), 0);
	}
	assert_int_equal(yard_objects(&y, 'a'), 0);
	apply(&y, want);
	assert_true(roster_find_store(y.h.v->roster, "a", &row) < 0);
	assert_false(plan_has_a(&y, want));
	assert_int_equal(yard_graves(&y), 1);
	assert_int_equal(yard_objects(&y, 'b'), 1);
	config_free(want);
	house_free(&y.h);
}

/* Copies are no use before they are stored as a whole. */
static void copies__store_takes_nothing__old_places_stay(void **state)
{
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_poor(&y);
	house_fault(&y.h, "error EBUSY op=put\n");
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3);
	assert_false(house_paid(&y.h, 300));
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3);
	assert_int_equal(yard_packs(&y), 2);
	assert_int_equal(yard_graves(&y), 0);
	yard_again(&y); /* forgotten; the copies' pack is poor itself now */
	house_fault(&y.h, "");
	assert_true(house_paid(&y.h, 20000));
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

/* A store that says it has them, and has not. */
static void copies__store_kept_less_than_was_put__old_places_stay(void **state)
{
	struct repack_stats s;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_poor(&y);
	house_fault(&y.h, "truncate op=put bytes=1\n");
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3);
	assert_true(house_paid(&y.h, 20000));
	house_fault(&y.h, "");
	for (unsigned i = 0; i < 2; i++) { /* it is looked at twice */
		yard_turn(&y);
		y.h.v->repack->look_next_ms = 0;
	}
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(y.h.v->repack->copies, 0);
	assert_int_equal(s.switched, 0);
	assert_int_equal(s.buried, 0);
	yard_check_all(&y);
	y.h.v->repack->hold[0].until_ms = 0;
	yard_turn(&y); /* into a pack that is there */
	assert_true(house_paid(&y.h, 20000));
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

/* ... and what needs no copies does not wait with them. */
static void copies__wait_for_a_store__dead_packs_go(void **state)
{
	struct repack_stats s;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_put(&y, 0, 100);
	house_clouds(&y.h);
	yard_poor(&y);
	house_fault(&y.h, "error EBUSY op=put\n");
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 2);
	yard_put(&y, 0, 0);
	yard_turn(&y);
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 2);
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.copied, 2);
	assert_int_equal(s.buried, 1);
	house_fault(&y.h, "");
	assert_true(house_paid(&y.h, 20000));
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

/* An outage is not for ever. */
static void copying__could_not_be_read__tried_again_later(void **state)
{
	struct yard y;

	(void)state;
	yard_begin_as(&y, VOLUME, "layout = mirror:1\nstores = b\npack = 1M");
	yard_poor(&y);
	house_forget(&y.h);
	house_fault(&y.h, "flip op=get\n");
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 0);
	assert_int_equal(y.h.v->repack->bads, 1);
	house_fault(&y.h, "");
	yard_check(&y); /* it is well again */
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 0);
	y.h.v->repack->bad[0].due_ms = 0;
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3);
	assert_true(house_paid(&y.h, 20000));
	yard_turn(&y);
	yard_turn(&y);
	assert_int_equal(yard_objects(&y, 'b'), 1);
	yard_check_all(&y);
	house_free(&y.h);
}

static void copying__pack_is_not_local__from_the_stores(void **state)
{
	struct yard y;

	(void)state;
	for (unsigned some = 0; some < 2; some++) {
		yard_begin(&y, VOLUME "\nrepack = 90%");
		yard_poor(&y);
		if (some) { /* more than are fetched one by one */
			yard_put(&y, 1, 2);
			yard_put(&y, 2, 3);
			yard_put(&y, 3, 4);
		}
		house_forget(&y.h);
		assert_int_equal(yard_locals(&y), 0);
		yard_collect(&y);
		assert_int_equal(yard_packs(&y), 1);
		yard_check_all(&y);
		house_free(&y.h);
	}
}

/* Rotten bytes are not copied; good ones of the store are. */
static void copying__local_file_is_rotten__from_the_stores(void **state)
{
	char path[256];
	struct yard y;
	struct dirent *e;
	DIR *d;

	(void)state;
	memset(&y, 0, sizeof(y));
	house_new(&y.h, VOLUME, POLICY);
	for (unsigned i = 0; i < FILES; i++)
		yard_put(&y, i, i + 1);
	assert_true(house_paid(&y.h, 20000));
	yard_met(&y);
	yard_poor(&y);
	(void)snprintf(path, sizeof(path), "%s/state/packs", y.h.dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		const int fd = openat(dirfd(d), e->d_name, O_WRONLY);

		if (fd < 0)
			continue;
		for (off_t off = 500; off < 900000; off += 30000)
			assert_int_equal(pwrite(fd, "rot", 3, off), 3);
		(void)close(fd);
	}
	(void)closedir(d);
	yard_collect(&y);
	assert_int_equal(yard_packs(&y), 1);
	yard_check_all(&y);
	house_free(&y.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round__poor_pack__living_move_and_it_goes),
		cmocka_unit_test(round__nothing_lives__packs_go_without_copies),
		cmocka_unit_test(round__rich_or_young_or_off__left_alone),
		cmocka_unit_test(round__deleted_lately__objects_are_kept),
		cmocka_unit_test(
			copies__deleted_or_overwritten_meanwhile__not_revived),
		cmocka_unit_test(chunk__comes_to_life_again__stays),
		cmocka_unit_test(pack__gets_a_chunk_while_cooling__not_buried),
		cmocka_unit_test(
			deleting__store_is_in_trouble__owed_until_it_is_done),
		cmocka_unit_test(
			store__removed_with_garbage__swept_then_forgotten),
		cmocka_unit_test(copies__store_takes_nothing__old_places_stay),
		cmocka_unit_test(
			copies__store_kept_less_than_was_put__old_places_stay),
		cmocka_unit_test(copies__wait_for_a_store__dead_packs_go),
		cmocka_unit_test(copying__could_not_be_read__tried_again_later),
		cmocka_unit_test(copying__pack_is_not_local__from_the_stores),
		cmocka_unit_test(
			copying__local_file_is_rotten__from_the_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
