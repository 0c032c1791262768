/*
 * An engine made of fixed answers, so that the verbs can be judged alone: each
 * call is echoed to standard error, and $ENGINE says what goes wrong:
 * live, fail, die, gone.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/create.h"
#include "fs/mount.h"
#include "fs/probe.h"

struct control_client {
	unsigned asked;
};

static const struct {
	const char *name, *answer;
} answers[] = {
	{"status", "{'volume':'v','id':'00','state':'warning','pid':7,"
		   "'mounted':'/m','pending_bytes':2048,'oldest_pending_s':4,"
		   "'reasons':['b is\\u001b[31m down'],'stores':[{'name':'a',"
		   "'backend':'local','provider':'a','state':'active',"
		   "'reachable':true,'error':'none','message':'','objects':12,"
		   "'bytes':1048576,'wanted':0,'latency_ms':1.25},{'name':'bb',"
		   "'backend':'s3','provider':'p','state':'draining',"
		   "'reachable':false,'error':'down','message':'refused',"
		   "'objects':1,'bytes':5,'wanted':3,'latency_ms':null}],"
		   "'packs':{'total':3,'full':2,'degraded':1,'unsafe':0,"
		   "'unreadable':0,'bytes':1},'cache':{'packs':1,'bytes':1,"
		   "'limit':2},'files':{'inodes':5,'bytes':6},'jobs':[]}"},
	{"policy-list",
		"{'policies':[{'name':'default','layout':'mirror:2',"
		"'stores':['a','b'],'min_providers':2,'durability':'local',"
		"'chunking':'cdc','dedup':'on','compression':'auto',"
		"'pack':16777216}]}"},
	{"cache-clear",
		"{'dropped_packs':3,'dropped_bytes':1024,'kept_packs':1,"
		"'kept_bytes':5,'kept_why':'not in the clouds'}"},
	{"plan", "{'changes':[{'kind':'store-add','name':'c','text':'new'}],"
		 "'moves':{'shards':2,'bytes':4096,'by_store':[{'store':'c',"
		 "'in':2,'out':0,'bytes_in':4096,'bytes_out':0}]},"
		 "'pending':true}"},
	{"apply", "{'changes':[],'moves':{'shards':0,'bytes':0,"
		  "'by_store':[]}}"},
	{"drain-plan", "{'moves':{'shards':9,'bytes':1,'by_store':[]}}"},
	{"drain", "{'job':4,'shards':2,'bytes':4096}"},
	{"rebalance", "{'job':4,'shards':2,'bytes':4096}"},
};

static bool wrong(const char *what)
{
	const char *v = getenv("ENGINE");

	return v && strcmp(v, what) == 0;
}

static json_t *decode(const char *quoted)
{
	char *text = strdup(quoted);
	json_t *o;

	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	o = json_loads(text, 0, NULL);
	free(text);
	return o;
}

int control_open(const struct config *c, int offline,
	struct control_client **ret, struct pluri_err *err)
{
	if (!offline && !wrong("live") && !wrong("gone"))
		return pluri_fail(err, ENOENT, "%s is not mounted", c->name);
	*ret = calloc(1, sizeof(**ret));
	return 0;
}

void control_client_free(struct control_client *c)
{
	free(c);
}

int control_live(const struct control_client *c)
{
	return c && wrong("live");
}

static json_t *jobs(unsigned asked)
{
	const char *state = asked < 4	    ? "running"
			    : wrong("fail") ? "failed"
					    : "done";

	return json_pack("{s:[{s:i,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:s}]}", "jobs",
		"id", 4, "kind", "drain", "store", "b", "state", state,
		"shards", (int)asked, "total_shards", 4, "bytes",
		(int)asked * 1024, "total_bytes", 4096, "message", "full");
}

/* Each look finds 100 requests, 200 KiB and 3 puts more, a second later. */
static json_t *stats(unsigned asked)
{
	const int n = (int)asked;

	return json_pack("{s:s,s:{s:i,s:i,s:i},s:i,s:{s:{s:i,s:i,s:i,s:{s:i}}},"
			 "s:{s:i,s:i},s:{s:i,s:i},s:{s:i,s:i,s:i},"
			 "s:[{s:s,s:b,s:i,s:i,s:i}]}",
		"volume", "v", "daemon", "pid", 7, "since_us", 5, "uptime_us",
		1000000 * n, "requests_in_flight", 3, "requests", "write",
		"requests_total", 100 * n, "bytes_total", 204800 * n,
		"busy_us_total", 5000 * n, "histogram_us", "64", 100 * n,
		"cache", "hits_total", 30 * n, "misses_total", 10 * n,
		"pending", "staged_bytes", 2048, "oldest_us", 2500000,
		"garbage", "scanned_bytes", 4096, "live_bytes", 1024,
		"copied_bytes_total", 2048 * n, "stores", "name", "a\033[1m",
		"up", 0, "puts_total", 3 * n, "puts_us_total", 60000 * n,
		"owed_bytes", 1024);
}

int control_ask(struct control_client *c, const char *name, const json_t *args,
	json_t **ret, struct pluri_err *err)
{
	char *text = json_dumps(args, JSON_SORT_KEYS | JSON_COMPACT);

	(void)fprintf(stderr, "asked %s %s\n", name, text);
	free(text);
	c->asked++;
	if (wrong("gone") && c->asked > 2)
		return pluri_fail(err, ECONNREFUSED, "nobody answers");
	if (strcmp(name, "stats") == 0) {
		*ret = stats(c->asked);
		return 0;
	}
	if (strcmp(name, "jobs") == 0) {
		*ret = jobs(c->asked);
		return 0;
	}
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (strcmp(name, answers[i].name) != 0)
			continue;
		*ret = decode(answers[i].answer);
		return *ret ? 0 : pluri_fail(err, EINVAL, "bad answer");
	}
	return pluri_fail(err, ENOENT, "no call \"%s\"", name);
}

int volume_create(const struct config *c, struct create_report *ret,
	struct pluri_err *err)
{
	if (wrong("fail"))
		return pluri_fail(err, EEXIST, "%s is there", c->state);
	memset(ret->volume_id, 'a', 2 * PLURI_ID_BYTES);
	strcpy(ret->key_ref, c->key);
	ret->key_made = true;
	return 0;
}

int probe_run(const struct config *c, const char *store, bool conformance,
	void (*each)(void *arg, const struct probe_result *r), void *arg,
	struct pluri_err *err)
{
	const struct probe_result r = {store ? store : c->store[0].name,
		conformance ? "paging" : "put", !wrong("fail"), 1.5, "text"};

	(void)err;
	each(arg, &r);
	return 0;
}

int mount_volume(const struct config *c, const struct mount_request *r,
	struct pluri_err *err)
{
	(void)fprintf(stderr, "mount %s -o %s\n", c->name,
		r->options ? r->options : "-");
	if (wrong("die"))
		_exit(3);
	if (wrong("fail"))
		return pluri_fail(err, EINVAL, "unknown option");
	if (r->ready_fd >= 0 && write(r->ready_fd, "", 1) == 1)
		(void)close(r->ready_fd);
	return 0;
}
