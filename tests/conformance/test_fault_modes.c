#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "backends/registry.h"

#include "tests/conformance/drive.h"

#define BYTES 1000u

static struct rig {
	char dir[256];
	char file[300];
	char log[300];
	char option[3][320];
	const char *options[4];
	struct host h;
	const struct pluri_backend_ops *ops;
	struct pluri_backend *b;
	struct pluri_err err;
} rig;

/* As tests should: by rename. */
static void faults(const char *text)
{
	char tmp[320];
	FILE *f;

	(void)snprintf(tmp, sizeof(tmp), "%s.new", rig.file);
	f = fopen(tmp, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, rig.file), 0);
}

static int read_body(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	uint8_t *p = to;

	(void)arg;
	(void)err;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(off + i);
	return 0;
}

static int put(const char *key)
{
	const struct pluri_body body = {.size = BYTES, .read = read_body};
	struct pluri_call call = {0};

	return rig.ops->put(rig.b, &call, key, &body, 0, &rig.err);
}

static int del(const char *key)
{
	struct pluri_call call = {0};

	return rig.ops->del(rig.b, &call, key, &rig.err);
}

/* Bytes got, or the code; *bad: bits that are wrong. */
static int get(const char *key, unsigned *bad)
{
	uint8_t data[2 * BYTES];
	struct pluri_room room = {.data = data, .cap = sizeof(data)};
	struct pluri_call call = {0};
	int r;

	*bad = 0;
	r = rig.ops->get(rig.b, &call, key, 0, &room, NULL, &rig.err);
	for (size_t i = 0; r == 0 && i < room.len; i++)
		*bad += (unsigned)__builtin_popcount(
			(unsigned)(data[i] ^ (uint8_t)i));
	return r < 0 ? r : (int)room.len;
}

static int count(void *arg, const char *key, uint64_t size)
{
	unsigned *n = arg;

	(void)key;
	(void)size;
	++*n;
	return 0;
}

static int list(const char *prefix, unsigned *n, char *ret_more)
{
	struct pluri_page page = {.each = count, .arg = n};
	struct pluri_call call = {0};
	int r;

	*n = 0;
	r = rig.ops->list(rig.b, &call, prefix, &page, &rig.err);
	*ret_more = page.token[0];
	return r;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int set_up(void **state)
{
	(void)state;
	(void)drive_dir(rig.dir);
	(void)snprintf(rig.file, sizeof(rig.file), "%s/faults", rig.dir);
	(void)snprintf(rig.log, sizeof(rig.log), "%s/log", rig.dir);
	(void)snprintf(rig.option[0], sizeof(rig.option[0]), "fault_file=%s",
		rig.file);
	(void)snprintf(
		rig.option[1], sizeof(rig.option[1]), "fault_log=%s", rig.log);
	(void)snprintf(rig.option[2], sizeof(rig.option[2]),
		"fault_without=new sorted");
	for (unsigned i = 0; i < 3; i++)
		rig.options[i] = rig.option[i];
	host_init(&rig.h, rig.options, NULL);
	faults("");
	if (registry_find("fault", &rig.ops, &rig.err) < 0 ||
		rig.ops->open(&rig.h.host, "fault:mem:mem:modes", &rig.b,
			&rig.err) < 0)
		fail_msg("%s", rig.err.text);
	assert_int_equal(put("a"), 0);
	assert_int_equal(put("b"), 0);
	assert_int_equal(put("c"), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig.ops->close(rig.b);
	drive_remove(rig.dir);
	return 0;
}

static void error__nth__only_that_call(void **state)
{
	unsigned bad;

	(void)state;
	faults("# comment\n\nerror EBUSY op=get nth=2\n");
	assert_int_equal(get("a", &bad), BYTES);
	assert_int_equal(put("a"), 0);
	assert_int_equal(get("a", &bad), -EBUSY);
	assert_int_equal(get("a", &bad), BYTES);
}

static void error__every__each_third(void **state)
{
	unsigned bad;

	(void)state;
	faults("error EACCES op=get every=3 key=a\n");
	for (unsigned i = 1; i <= 9; i++) {
		assert_int_equal(get("a", &bad), i % 3 ? (int)BYTES : -EACCES);
		assert_int_equal(get("b", &bad), BYTES);
	}
}

static void error__by_chance__same_for_same_seed(void **state)
{
	unsigned failed[2] = {0, 0};
	unsigned bad;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		faults(round ? "error EAGAIN p=0.25 seed=7\n"
			     : "error EAGAIN p=.25 seed=7\n");
		for (unsigned i = 0; i < 1000; i++)
			failed[round] += get("a", &bad) < 0;
	}
	assert_int_equal(failed[0], failed[1]);
	assert_in_range(failed[0], 180, 320);
}

static void file__changed_back__no_fault(void **state)
{
	unsigned bad;

	(void)state;
	faults("error EAGAIN\n");
	assert_int_equal(get("a", &bad), -EAGAIN);
	assert_int_equal(del("nothing"), -EAGAIN);
	faults("");
	assert_int_equal(get("a", &bad), BYTES);
}

static void file__not_understood__every_call_fails_with_its_line(void **state)
{
	static const char *const texts[] = {"\nerrr EAGAIN\n",
		"\nerror EWHAT\n", "\nerror\n", "\nflip op=list\n", "\ndelay\n",
		"\nerror EAGAIN nth=0\n", "\nfull nth=x\n", "\nhang soft\n",
		"\nflip p=2\n", "\nfull colour=red\n"};
	unsigned bad;

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		faults(texts[i]);
		for (unsigned j = 0; j < 2; j++) {
			assert_int_equal(get("a", &bad), -EINVAL);
			assert_int_equal(put("a"), -EINVAL);
			assert_non_null(strstr(rig.err.text, "faults:2: "));
		}
	}
	assert_int_equal(unlink(rig.file), 0);
	assert_int_equal(get("a", &bad), -EINVAL);
	faults("");
	assert_int_equal(get("a", &bad), BYTES);
}

static void truncate__get_and_put__short_with_success(void **state)
{
	unsigned bad;

	(void)state;
	faults("truncate op=get bytes=10\n");
	assert_int_equal(get("a", &bad), BYTES - 10);
	faults("truncate op=put bytes=300\n");
	assert_int_equal(put("short"), 0);
	faults("");
	assert_int_equal(get("short", &bad), BYTES - 300);
	assert_int_equal(bad, 0);
	assert_int_equal(del("short"), 0);
}

static void flip__get_and_put__one_bit_wrong(void **state)
{
	unsigned bad;

	(void)state;
	faults("flip op=get seed=3\n");
	assert_int_equal(get("a", &bad), BYTES);
	assert_int_equal(bad, 1);
	faults("flip op=put seed=3\n");
	assert_int_equal(put("wrong"), 0);
	faults("");
	assert_int_equal(get("wrong", &bad), BYTES);
	assert_int_equal(bad, 1);
	assert_int_equal(del("wrong"), 0);
}

static void notfound__everything_404__del_deletes_nothing(void **state)
{
	unsigned n;
	char more;

	(void)state;
	faults("notfound\n");
	assert_int_equal(get("a", &n), -ENOENT);
	assert_int_equal(list("", &n, &more), -ENOENT);
	assert_int_equal(put("a"), -ENOENT);
	assert_int_equal(del("a"), 0);
	faults("");
	assert_int_equal(get("a", &n), BYTES);
}

static void full__put_enospc__others_go_on(void **state)
{
	unsigned bad;

	(void)state;
	faults("full\n");
	assert_int_equal(put("d"), -ENOSPC);
	assert_int_equal(get("a", &bad), BYTES);
	assert_int_equal(del("d"), 0);
}

static void list_cut__pretends_to_be_whole(void **state)
{
	struct pluri_page page = {.token = "a", .each = count};
	struct pluri_call call = {0};
	unsigned n;
	char more;

	(void)state;
	page.arg = &n;
	assert_int_equal(list("", &n, &more), 0);
	assert_int_equal(n, 3);
	n = 0;
	faults("list-cut\n");
	assert_int_equal(rig.ops->list(rig.b, &call, "", &page, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(page.token[0], 0);
	faults("list-cut keys=2\n");
	assert_int_equal(list("", &n, &more), 0);
	assert_int_equal(n, 2);
	assert_int_equal(more, 0);
	faults("list-fail keys=2\n");
	assert_int_equal(list("", &n, &more), -EAGAIN);
	assert_int_equal(n, 2);
}

static void lost_answer__it_was_done(void **state)
{
	unsigned bad;

	(void)state;
	faults("lost-answer op=put\n");
	assert_int_equal(put("lost"), -EAGAIN);
	assert_int_equal(get("lost", &bad), BYTES);
	faults("lost-answer op=del\n");
	assert_int_equal(del("lost"), -EAGAIN);
	faults("");
	assert_int_equal(get("lost", &bad), -ENOENT);
}

static int timed_get(uint64_t ms, uint64_t *ret_took)
{
	uint8_t data[10];
	struct pluri_room room = {.data = data, .cap = sizeof(data)};
	const uint64_t start = now_ms();
	struct pluri_call call = {.deadline_ms = start + ms};
	const int r = rig.ops->get(rig.b, &call, "a", 0, &room, NULL, NULL);

	*ret_took = now_ms() - start;
	return r;
}

static void waiting__modes__end_when_they_say(void **state)
{
	uint64_t took;

	(void)state;
	faults("hang\n");
	assert_int_equal(timed_get(40, &took), -ETIMEDOUT);
	assert_true(took >= 40);
	faults("hang hard delay_ms=120\n");
	assert_int_equal(timed_get(10, &took), -ETIMEDOUT);
	assert_true(took >= 120);
	faults("delay delay_ms=50\n");
	assert_int_equal(timed_get(10000, &took), 0);
	assert_true(took >= 50 && took < 5000);
	faults("late delay_ms=60\n");
	/* what is asked for in time is answered too late */
	assert_int_equal(timed_get(500, &took), 0);
	assert_true(took >= 560);
	faults("");
}

static void *hanging_get(void *arg)
{
	uint64_t took;

	*(int *)arg = timed_get(3600000, &took);
	return NULL;
}

static void hang__file_changes__call_goes_on(void **state)
{
	pthread_t thread;
	int code = 77;

	(void)state;
	faults("hang hard\n");
	assert_int_equal(pthread_create(&thread, NULL, hanging_get, &code), 0);
	faults("");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(code, 0);
}

static void log__has_a_line_for_each_call(void **state)
{
	char text[200] = "";
	unsigned bad;
	FILE *f;

	(void)state;
	assert_int_equal(truncate(rig.log, 0), 0);
	faults("error EBUSY op=get\n");
	assert_int_equal(put("x/y"), 0);
	assert_int_equal(get("x/y", &bad), -EBUSY);
	assert_int_equal(del("x/y"), 0);
	f = fopen(rig.log, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, "put x/y 0\nget x/y EBUSY\ndel x/y 0\n");
	faults("");
}

static void without__named_capabilities__are_denied(void **state)
{
	struct pluri_limits l;

	(void)state;
	rig.ops->limits(rig.b, &l);
	assert_int_equal(
		l.caps, PLURI_CAP_RANGE | PLURI_CAP_VISIBLE | PLURI_CAP_LOCAL);
}

static void open__bad_urls__refused(void **state)
{
	static const char *const urls[] = {"fault:", "fault:mem", "mem:x",
		"fault:nosuch:x", "fault:mem:/x", "fault:../x:y"};
	struct pluri_backend *b = NULL;

	(void)state;
	for (unsigned i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		assert_true(rig.ops->open(&rig.h.host, urls[i], &b, NULL) < 0);
	assert_null(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error__nth__only_that_call),
		cmocka_unit_test(error__every__each_third),
		cmocka_unit_test(error__by_chance__same_for_same_seed),
		cmocka_unit_test(file__changed_back__no_fault),
		cmocka_unit_test(
			file__not_understood__every_call_fails_with_its_line),
		cmocka_unit_test(truncate__get_and_put__short_with_success),
		cmocka_unit_test(flip__get_and_put__one_bit_wrong),
		cmocka_unit_test(notfound__everything_404__del_deletes_nothing),
		cmocka_unit_test(full__put_enospc__others_go_on),
		cmocka_unit_test(list_cut__pretends_to_be_whole),
		cmocka_unit_test(lost_answer__it_was_done),
		cmocka_unit_test(waiting__modes__end_when_they_say),
		cmocka_unit_test(hang__file_changes__call_goes_on),
		cmocka_unit_test(log__has_a_line_for_each_call),
		cmocka_unit_test(without__named_capabilities__are_denied),
		cmocka_unit_test(open__bad_urls__refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
