#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "tools/moves.h"
#include "tools/show.h"
#include "tools/wait.h"

static json_t *wait_args(const struct wait_move *m, const struct ask *a)
{
	if (m->store)
		return json_pack("{s:s}", "store", m->store);
	return ask_config(a);
}

static int wait_dry(const struct wait_move *m, struct ask *a)
{
	ask_auto_json got = NULL;
	struct pluri_err err = {0};

	if (ask_call(a, m->dry_call, wait_args(m, a), &got, &err) < 0)
		return show_fail(&err);
	return m->json ? show_json(got) : moves_show(got);
}

static int wait_end(const struct wait_move *m, const json_t *job)
{
	const bool failed = strcmp(show_text(job, "state"), "failed") == 0;
	char bytes[TEXT_SIZE_MAX];

	if (m->json && show_json(job) != 0)
		return 1;
	if (failed) {
		show_line(stderr, "pluri: %s failed: %s", m->call,
			show_text(job, "message"));
		return 1;
	}
	if (!m->json)
		(void)printf("%s: moved %llu shards, %s\n", m->call,
			(unsigned long long)show_uint(job, "shards"),
			show_size(job, "bytes", bytes));
	return 0;
}

static int wait_begun(const struct wait_move *m, const json_t *started)
{
	char bytes[TEXT_SIZE_MAX];

	if (m->json)
		return show_json(started);
	(void)printf("%s: job %llu moves %llu shards, %s; see pluri jobs %s\n",
		m->call, (unsigned long long)show_uint(started, "job"),
		(unsigned long long)show_uint(started, "shards"),
		show_size(started, "bytes", bytes), m->volume);
	return 0;
}

int wait_move(const struct wait_move *m)
{
	pluri_auto(ask) a = NULL;
	ask_auto_json started = NULL;
	ask_auto_json job = NULL;
	struct pluri_err err = {0};
	int r;

	r = ask_new(m->volume, 1, &a, &err);
	if (r < 0)
		return show_fail(&err);
	if (m->dry)
		return wait_dry(m, a);
	if (m->background && !control_live(a->client)) {
		(void)pluri_fail(&err, EINVAL,
			"%s is not mounted, so nothing would go on in the "
			"background: mount it, or leave --background out",
			a->config->name);
		return show_fail(&err);
	}
	r = ask_call(
		a, m->call, m->store ? wait_args(m, a) : NULL, &started, &err);
	if (r == 0 && m->background)
		return wait_begun(m, started);
	if (r == 0)
		r = wait_job(a, started, m->json, &job, &err);
	return r < 0 ? show_fail(&err) : wait_end(m, job);
}
