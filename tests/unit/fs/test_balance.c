#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chunker/stripe.h"
#include "fs/balance.h"
#include "fs/staging.h"
#include "fs/write.h"
#include "meta/moves.h"
#include "meta/packs.h"
#include "meta/stores.h"
#include "tests/unit/fs/house.h"

#define PACKS 32u
#define PIECE 20000u
#define FILE_BYTES (PACKS * PIECE)
#define WAIT_MS 20000u

struct scene {
	struct house h;
	struct node *n;
	uint8_t *bytes;
};

/* A file of many packs, so many that each pair of stores has some; in the
 * clouds and nowhere else. */
static void scene_new(struct scene *s)
{
	house_new(&s->h, "timeout = 1s", "");
	s->bytes = malloc(FILE_BYTES);
	assert_non_null(s->bytes);
	house_noise(7, s->bytes, FILE_BYTES);
	s->n = house_file(&s->h, "f");
	for (unsigned i = 0; i < PACKS; i++) {
		const unsigned off = i * PIECE;

		house_write(&s->h, s->n, off, s->bytes + off, PIECE);
		assert_int_equal(write_flush_all(s->h.v, NULL), 0);
		assert_int_equal(staging_close(s->h.v->staging, NULL), 0);
	}
	house_clouds(&s->h);
}

static void scene_check(struct scene *s)
{
	uint8_t *got = malloc(FILE_BYTES);

	assert_non_null(got);
	house_forget(&s->h);
	house_read(&s->h, s->n, 0, got, FILE_BYTES);
	assert_memory_equal(got, s->bytes, FILE_BYTES);
	free(got);
}

static void scene_unpin(struct scene *s)
{
	if (s->n)
		node_unpin(s->h.v->nodes, s->n);
	s->n = NULL;
}

static void scene_free(struct scene *s)
{
	scene_unpin(s);
	free(s->bytes);
	house_free(&s->h);
}

static void nap(void)
{
	const struct timespec t = {.tv_nsec = 10000000};

	(void)nanosleep(&t, NULL);
}

/* The newest job as "jobs" tells it; to be freed. */
static json_t *job_now(struct scene *s)
{
	struct pluri_err err = {0};
	json_t *all = NULL;
	json_t *job;

	assert_int_equal(balance_jobs(s->h.v->balance, &all, &err), 0);
	job = json_incref(json_array_get(json_object_get(all, "jobs"), 0));
	json_decref(all);
	assert_non_null(job);
	return job;
}

static const char *job_text(const json_t *job, const char *key)
{
	return json_string_value(json_object_get(job, key));
}

/* Until the newest job is in that state, or says that. */
static json_t *job_wait(struct scene *s, const char *state, const char *says)
{
	for (unsigned i = 0; i < WAIT_MS / 10; i++) {
		json_t *job = job_now(s);

		if (strcmp(job_text(job, "state"), state) == 0 &&
			strstr(job_text(job, "message"), says))
			return job;
		json_decref(job);
		nap();
	}
	fail_msg("no job is %s, saying \"%s\"", state, says);
	return NULL;
}

static void drain(struct scene *s, const char *store)
{
	struct pluri_err err = {0};
	json_t *j = NULL;

	if (balance_drain(s->h.v->balance, store, &j, &err) < 0)
		fail_msg("%s", err.text);
	json_decref(j);
}

static struct packs_store holds(struct scene *s, uint32_t num)
{
	struct packs_store p = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(s->h.v->meta, &tx, NULL), 0);
	assert_int_equal(packs_of_store(tx, num, &p, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	return p;
}

static unsigned moves_left(struct scene *s)
{
	struct move_row row[64];
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	assert_int_equal(meta_begin(s->h.v->meta, &tx, NULL), 0);
	assert_int_equal(moves_list(tx, 0, row, 64, &n, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	return n;
}

/* Files below a local store's directory, but for those being written. */
static unsigned files_in(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		char sub[512];
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(sub, sizeof(sub), "%s/%s", dir, e->d_name);
		if (stat(sub, &st) == 0)
			n += S_ISDIR(st.st_mode) ? files_in(sub) : 1;
	}
	if (d)
		(void)closedir(d);
	return n;
}

static unsigned files_of(struct scene *s, const char *store)
{
	char dir[128];

	(void)snprintf(dir, sizeof(dir), "%s/%s", s->h.dir, store);
	return files_in(dir);
}

static const char *state_of(struct scene *s, uint32_t num)
{
	struct store_row *row = calloc(PLURI_STORES_MAX, sizeof(*row));
	const char *state = "none";
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	assert_int_equal(meta_begin(s->h.v->meta, &tx, NULL), 0);
	assert_int_equal(stores_list(tx, row, &n, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	for (unsigned i = 0; i < n; i++)
		if (row[i].num == num)
			state = store_state_text(row[i].state);
	free(row);
	return state;
}

static bool plan_pending(struct scene *s, const struct config *want)
{
	struct pluri_err err = {0};
	json_t *j = NULL;
	bool pending;

	if (balance_plan(s->h.v->balance, want, &j, &err) < 0)
		fail_msg("%s", err.text);
	pending = json_is_true(json_object_get(j, "pending"));
	json_decref(j);
	return pending;
}

/* ------------------------------------------------------------------------- */

static void drain__all_is_well__nothing_of_ours_is_left(void **state)
{
	struct scene s;

	(void)state;
	scene_new(&s);
	assert_true(files_of(&s, "a") > 1);
	drain(&s, "a");
	json_decref(job_wait(&s, "done", ""));
	assert_int_equal(files_of(&s, "a"), 0);
	assert_string_equal(state_of(&s, 0), "drained");
	assert_int_equal(moves_left(&s), 0);
	assert_false(plan_pending(&s, NULL));
	scene_check(&s);
	scene_free(&s);
}

static void drain__the_source_is_away__copied_first_deleted_later(void **state)
{
	struct scene s;
	unsigned objects;

	(void)state;
	scene_new(&s);
	objects = files_of(&s, "b");
	house_fault(&s.h, "error EAGAIN\n");
	drain(&s, "b");
	for (unsigned i = 0; i < WAIT_MS / 10 && holds(&s, 1).objects; i++)
		nap();
	assert_int_equal(holds(&s, 1).objects, 0);
	json_decref(job_wait(&s, "running", "b"));
	assert_int_equal(files_of(&s, "b"), objects);
	assert_int_equal(moves_left(&s), objects - 1);
	scene_check(&s);
	house_fault(&s.h, "");
	json_decref(job_wait(&s, "done", ""));
	assert_int_equal(files_of(&s, "b"), 0);
	scene_free(&s);
}

static void drain__the_target_is_away__waits_and_goes_on(void **state)
{
	struct scene s;

	(void)state;
	scene_new(&s);
	house_fault(&s.h, "error EAGAIN\n");
	drain(&s, "a");
	json_decref(job_wait(&s, "running", "b"));
	scene_check(&s);
	assert_string_equal(state_of(&s, 0), "draining");
	house_fault(&s.h, "");
	json_decref(job_wait(&s, "done", ""));
	assert_int_equal(files_of(&s, "a"), 0);
	scene_check(&s);
	scene_free(&s);
}

static void drain__the_target_stores_other_bytes__failed(void **state)
{
	struct scene s;
	uint64_t before;
	json_t *job;

	(void)state;
	scene_new(&s);
	before = holds(&s, 0).objects;
	/* whatever is put on b is stored with a wrong bit */
	house_fault(&s.h, "flip op=put seed=5\n");
	drain(&s, "a");
	job = job_wait(&s, "failed", "");
	assert_non_null(strstr(job_text(job, "message"), "reads back"));
	json_decref(job);
	assert_true(holds(&s, 0).objects > 0);
	assert_true(holds(&s, 0).objects < before);
	assert_int_equal(files_of(&s, "a"), holds(&s, 0).objects + 1);
	assert_int_equal(moves_left(&s), 0);
	house_fault(&s.h, "");
	scene_check(&s);
	scene_free(&s);
}

static void drain__an_answer_is_lost__done_all_the_same(void **state)
{
	struct scene s;

	(void)state;
	scene_new(&s);
	house_fault(&s.h, "lost-answer op=put every=2\n"
			  "lost-answer op=del every=2\n");
	drain(&s, "b");
	json_decref(job_wait(&s, "done", ""));
	assert_int_equal(files_of(&s, "b"), 0);
	drain(&s, "b"); /* again: it is empty */
	json_decref(job_wait(&s, "done", ""));
	scene_check(&s);
	scene_free(&s);
}

static void drain__stopped_and_opened_again__goes_on(void **state)
{
	struct scene s;

	(void)state;
	scene_new(&s);
	house_fault(&s.h, "error EAGAIN op=del\n");
	drain(&s, "b");
	json_decref(job_wait(&s, "running", "b"));
	scene_unpin(&s);
	house_crash(&s.h);
	house_fault(&s.h, "");
	house_open(&s.h);
	s.n = house_file(&s.h, "f");
	json_decref(job_wait(&s, "done", ""));
	assert_int_equal(files_of(&s, "b"), 0);
	assert_string_equal(state_of(&s, 1), "drained");
	scene_check(&s);
	scene_free(&s);
}

static void drain__nothing_could_be_placed__refused(void **state)
{
	struct pluri_err err = {0};
	struct scene s;
	json_t *j = NULL;

	(void)state;
	scene_new(&s);
	drain(&s, "a");
	json_decref(job_wait(&s, "done", ""));
	assert_int_equal(balance_drain(s.h.v->balance, "b", &j, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "a (drained)"));
	assert_int_equal(
		balance_drain_plan(s.h.v->balance, "b", &j, &err), -ENOSPC);
	assert_string_equal(state_of(&s, 1), "active");
	assert_int_equal(
		balance_drain(s.h.v->balance, "bb", &j, &err), -ENOENT);
	assert_non_null(strstr(err.text, "did you mean \"b\""));
	scene_free(&s);
}

/* The INI with one more local store, or without one. */
static struct config *ini_with(struct scene *s, const char *more)
{
	struct pluri_err err = {0};
	struct config *c = NULL;
	char *text = malloc(8192);
	char dir[128];

	(void)snprintf(dir, sizeof(dir), "%s/d", s->h.dir);
	(void)mkdir(dir, 0700);
	(void)snprintf(text, 8192, "%s%s", s->h.ini, more);
	if (config_parse(s->h.dir, text, strlen(text), &c, &err) < 0)
		fail_msg("%s", err.text);
	free(text);
	return c;
}

static void apply(struct scene *s, const struct config *want)
{
	struct pluri_err err = {0};
	json_t *j = NULL;

	if (balance_apply(s->h.v->balance, want, &j, &err) < 0)
		fail_msg("%s", err.text);
	json_decref(j);
}

static json_int_t plan_shards(struct scene *s, const struct config *want)
{
	json_t *j = NULL;
	json_int_t n;

	assert_int_equal(balance_plan(s->h.v->balance, want, &j, NULL), 0);
	n = json_integer_value(
		json_object_get(json_object_get(j, "moves"), "shards"));
	json_decref(j);
	return n;
}

static void apply__a_store_more__moved_as_planned(void **state)
{
	struct config *want;
	struct pluri_err err = {0};
	struct scene s;
	json_t *j = NULL;
	json_t *job;
	json_int_t planned;
	char more[256];

	(void)state;
	scene_new(&s);
	(void)snprintf(more, sizeof(more),
		"[store \"d\"]\nbackend = local\nurl = %s/d\nweight = 9\n",
		s.h.dir);
	want = ini_with(&s, more);
	planned = plan_shards(&s, want);
	assert_true(planned > 0);
	assert_int_equal(files_of(&s, "d"), 0);
	apply(&s, want);
	assert_int_equal(files_of(&s, "d"), 1);
	assert_int_equal(plan_shards(&s, want), planned);
	apply(&s, want); /* again: nothing to do */
	assert_int_equal(balance_start(s.h.v->balance, &j, &err), 0);
	json_decref(j);
	job = job_wait(&s, "done", "");
	assert_int_equal(
		json_integer_value(json_object_get(job, "shards")), planned);
	json_decref(job);
	assert_int_equal(files_of(&s, "d"), planned + 1);
	assert_false(plan_pending(&s, want));
	scene_check(&s);
	config_free(want);
	scene_free(&s);
}

static void apply__anothers_place__refused_nothing_claimed(void **state)
{
	struct pluri_err err = {0};
	struct config *want;
	struct scene s;
	json_t *j = NULL;
	char more[512];

	(void)state;
	scene_new(&s);
	(void)snprintf(more, sizeof(more),
		"[store \"d\"]\nbackend = local\nurl = %s/d\n"
		"[store \"e\"]\nbackend = local\nurl = %s/a\n",
		s.h.dir, s.h.dir);
	want = ini_with(&s, more);
	assert_int_equal(
		balance_apply(s.h.v->balance, want, &j, &err), -EEXIST);
	assert_non_null(strstr(err.text, "store a"));
	assert_int_equal(files_of(&s, "d"), 0);
	assert_string_equal(state_of(&s, 3), "none");
	config_free(want);
	scene_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drain__all_is_well__nothing_of_ours_is_left),
		cmocka_unit_test(
			drain__the_source_is_away__copied_first_deleted_later),
		cmocka_unit_test(drain__the_target_is_away__waits_and_goes_on),
		cmocka_unit_test(drain__the_target_stores_other_bytes__failed),
		cmocka_unit_test(drain__an_answer_is_lost__done_all_the_same),
		cmocka_unit_test(drain__stopped_and_opened_again__goes_on),
		cmocka_unit_test(drain__nothing_could_be_placed__refused),
		cmocka_unit_test(apply__a_store_more__moved_as_planned),
		cmocka_unit_test(
			apply__anothers_place__refused_nothing_claimed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
