#include <errno.h>

#include "fs/probe.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/show.h"

struct cmd_probe {
	bool json;
	json_t *results; /* --json: all of them */
	unsigned failed;
	bool head;
};

static void cmd_step(void *arg, const struct probe_result *r)
{
	struct cmd_probe *p = arg;
	char text[PLURI_ERR_TEXT];

	p->failed += !r->ok;
	(void)snprintf(text, sizeof(text), "%s", r->text);
	if (p->json) {
		(void)json_array_append_new(p->results,
			json_pack("{s:s, s:s, s:b, s:f, s:s}", "store",
				r->store, "step", r->step, "ok", (int)r->ok,
				"ms", r->ms, "text", show_clean(text)));
		return;
	}
	/* Line by line: a dead cloud takes its time. */
	if (!p->head)
		(void)printf("%-16s %-12s %-6s %8s  %s\n", "STORE", "STEP",
			"RESULT", "MS", "WHAT");
	p->head = true;
	(void)printf("%-16s %-12s %-6s %8.1f  %s\n", r->store, r->step,
		r->ok ? "ok" : "FAILED", r->ms, show_clean(text));
	(void)fflush(stdout);
}

int cmd_probe(int argc, char **argv)
{
	pluri_auto(config) c = NULL;
	ask_auto_json o = json_pack("{s:[]}", "results");
	struct cmd_probe p = {.results = json_object_get(o, "results")};
	struct pluri_err err = {0};
	const char *words[2] = {NULL, NULL};
	bool conformance = false;
	const struct args_option options[] = {ARGS_JSON(&p.json),
		{"--conformance", NULL, "try the whole contract of a backend",
			&conformance, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"probe VOLUME [STORE] [--conformance]",
		"Writes, reads, lists and deletes a canary object in every "
		"store, or in one.\nNeeds neither daemon nor database. Exit "
		"status 1 when a step failed.",
		options, words, 1, 2};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	r = config_load(words[0], &c, &err);
	if (r == 0)
		r = probe_run(c, words[1], conformance, cmd_step, &p, &err);
	if (r < 0)
		return show_fail(&err);
	if (p.json && show_json(o) != 0)
		return 1;
	return p.failed ? 1 : 0;
}
