#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/progress.h"
#include "tools/show.h"
#include "tools/wait.h"

#define WAIT_MS 500 /* of one answer */

/* Names of stores, behind `before` when there are any. */
static void wait_down(
	const json_t *answer, const char *before, char *to, size_t cap)
{
	const json_t *down = json_object_get(answer, "stores_down");
	size_t n = 0;
	size_t i;
	const json_t *s;

	to[0] = 0;
	json_array_foreach(down, i, s)
	{
		const char *name = json_string_value(s);

		if (name && n < cap)
			n += (size_t)snprintf(to + n, cap - n, "%s%s",
				n ? " " : before, name);
	}
}

int wait_kernel(const char *dir, bool old_too, struct pluri_err *err)
{
	const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	/* The first call tells of failures since anybody asked last: of bytes
	 * that are gone, as their program was told. */
	if (r == 0 && syncfs(fd) < 0)
		r = -errno;
	if (r < 0 && fd >= 0 && !old_too) {
		(void)fprintf(stderr,
			"pluri: %s: some writes have failed since the last "
			"sync: %s\n",
			dir, strerror(-r));
		r = syncfs(fd) < 0 ? -errno : 0;
	}
	if (fd >= 0)
		(void)close(fd);
	return r < 0 ? pluri_fail(err, -r,
			       "%s: what programs have written could not all "
			       "be taken: %s",
			       dir, strerror(-r))
		     : 0;
}

int wait_sync(struct ask *a, bool silent, json_t **ret, struct pluri_err *err)
{
	ask_auto_json ticket = NULL;
	ask_auto_json got = NULL;
	struct progress p;
	uint64_t most = 0;
	char note[160];
	int r;

	r = ask_call(a, "sync", json_pack("{s:b}", "start", 1), &ticket, err);
	progress_start(&p, "sync", silent);
	while (r == 0) {
		const uint64_t asked = clock_mono_ms(clock_system());
		uint64_t left;

		json_decref(got);
		got = NULL;
		r = ask_call(a, "sync",
			json_pack("{s:I s:i}", "ticket",
				(json_int_t)show_uint(ticket, "ticket"),
				"wait_ms", WAIT_MS),
			&got, err);
		if (r < 0 || json_is_true(json_object_get(got, "done")))
			break;
		left = show_uint(got, "pending_bytes");
		most = left > most ? left : most;
		wait_down(got, "waiting for ", note, sizeof(note));
		progress_show(&p, most - left, most, note);
		/* What answers at once does not wait by itself. */
		if (clock_mono_ms(clock_system()) - asked < WAIT_MS / 2)
			progress_nap(&p);
	}
	progress_end(&p);
	if (r < 0)
		return r;
	wait_down(got, "pluri: down, and sent the rest when back: ", note,
		sizeof(note));
	if (note[0] && !silent)
		show_line(stderr, "%s", note);
	*ret = pluri_steal(got);
	return 0;
}

/* One job of the list, a new reference; -ENOENT when it is not there. */
static int wait_look(
	struct ask *a, json_int_t id, json_t **ret, struct pluri_err *err)
{
	ask_auto_json all = NULL;
	json_t *job;
	size_t i;
	int r;

	r = ask_call(a, "jobs", NULL, &all, err);
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(all, "jobs"), i, job)
	{
		if (json_integer_value(json_object_get(job, "id")) != id)
			continue;
		*ret = json_incref(job);
		return 0;
	}
	return pluri_fail(err, ENOENT,
		"job %lld is no longer known: was the volume mounted anew? "
		"Start it again to make sure; what was moved stays moved",
		(long long)id);
}

int wait_job(struct ask *a, const json_t *started, bool silent, json_t **ret,
	struct pluri_err *err)
{
	const json_int_t id =
		json_integer_value(json_object_get(started, "job"));
	struct progress p;
	int r = 0;

	progress_start(&p, "moving", silent);
	while (r == 0) {
		ask_auto_json job = NULL;
		char note[80];

		r = wait_look(a, id, &job, err);
		if (r < 0)
			break;
		if (strcmp(show_text(job, "state"), "running") != 0) {
			*ret = pluri_steal(job);
			break;
		}
		(void)snprintf(note, sizeof(note), "%llu of %llu shards",
			(unsigned long long)show_uint(job, "shards"),
			(unsigned long long)show_uint(job, "total_shards"));
		progress_show(&p, show_uint(job, "bytes"),
			show_uint(job, "total_bytes"), note);
		progress_nap(&p);
	}
	progress_end(&p);
	return r;
}
