#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backends/call.h"
#include "backends/http.h"
#include "base/buf.h"
#include "base/log.h"

#include "fs/control_int.h"

#define CONTROL_POLL_MS 50u

/* One of two: a daemon's socket, or the volume itself. */
struct control_client {
	char name[PLURI_NAME_MAX + 1];
	int dir_fd; /* the state directory, by which the socket is reached */
	struct http *http;
	struct volume *volume;
};

void control_client_free(struct control_client *c)
{
	struct pluri_err err = {0};

	if (!c)
		return;
	if (c->volume && volume_close(c->volume, &err) < 0)
		log_line(LOG_ERROR, "closing %s: %s", c->name, err.text);
	volume_free(c->volume);
	http_free(c->http);
	if (c->dir_fd >= 0)
		(void)close(c->dir_fd);
	free(c);
}

int control_live(const struct control_client *c)
{
	return c->http != NULL;
}

/* --- reaching ------------------------------------------------------------ */

static bool control_answers(int dir_fd)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	if (fd < 0)
		return false;
	control_path(dir_fd, at.sun_path);
	yes = connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
	(void)close(fd);
	return yes;
}

static int control_connect(struct control_client *c, struct pluri_err *err)
{
	char path[CONTROL_PATH_MAX];
	const struct http_options o = {
		.unix_socket = path,
		.user_agent = "pluri/" PLURI_VERSION,
	};

	control_path(c->dir_fd, path);
	return http_new(&o, &c->http, err);
}

/*
 * 1: a daemon answers; 0: nobody has the volume open. Who holds the lock but
 * does not answer is starting, stopping, or a tool at work: it gets a while.
 */
static int control_find(struct control_client *c, const struct config *config,
	struct pluri_err *err)
{
	const struct timespec pause = {
		.tv_nsec = CONTROL_POLL_MS * 1000000L,
	};
	const uint64_t until = call_now_ms() + CONTROL_START_MS;
	int pid = 0;
	int r;

	if (c->dir_fd < 0)
		return 0;
	do {
		if (control_answers(c->dir_fd))
			return 1;
		r = volume_locked(config, &pid);
		if (r == 0 || r == -ENOENT)
			return 0;
		if (r < 0)
			return pluri_fail(err, -r,
				"volume %s: its lock in %.300s: %s",
				config->name, config->state, strerror(-r));
		(void)nanosleep(&pause, NULL);
	} while (call_now_ms() < until);
	return pluri_fail(err, EBUSY,
		"volume %s is open in process %d, which does not answer on "
		"%.200s/%s: wait for it to end, or see its log",
		config->name, pid, config->state, VOLUME_SOCKET);
}

static int control_open_here(struct control_client *c,
	const struct config *config, int offline, struct pluri_err *err)
{
	struct config *copy = malloc(sizeof(*copy));
	struct pluri_err why = {0};
	int r;

	if (!copy)
		return pluri_fail(
			err, ENOMEM, "opening %s: no memory", c->name);
	*copy = *config;
	r = volume_open(copy, &c->volume, &why);
	if (r < 0 && r != -EBUSY && offline == CONTROL_BARE &&
		volume_open_bare(copy, &why, &c->volume, NULL) == 0)
		return 0;
	if (r < 0) {
		config_free(copy);
		*err = why;
	}
	return r;
}

static int control_reach(struct control_client *c, const struct config *config,
	int offline, struct pluri_err *err)
{
	int r;

	for (int again = 1;; again--) {
		r = control_find(c, config, err);
		if (r > 0)
			return control_connect(c, err);
		if (r == 0 && offline == CONTROL_REFUSE)
			r = pluri_fail(err, ENOENT, "volume %s is not mounted",
				config->name);
		if (r == 0)
			r = control_open_here(c, config, offline, err);
		/* somebody came in between: ask him */
		if (r != -EBUSY || again == 0)
			return r;
	}
}

int control_open(const struct config *config, int offline,
	struct control_client **ret, struct pluri_err *err)
{
	pluri_auto(control_client) c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return pluri_fail(err, ENOMEM, "no memory");
	(void)snprintf(c->name, sizeof(c->name), "%s", config->name);
	c->dir_fd = open(config->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = control_reach(c, config, offline, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(c);
	return 0;
}

/* --- asking -------------------------------------------------------------- */

static int control_body(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct pluri_span *s = arg;

	if (off > s->len || len > s->len - off)
		return pluri_fail(err, EINVAL, "beyond the arguments' end");
	memcpy(to, (const char *)s->data + off, len);
	return 0;
}

/* {"error", "code"} of an answer that is not 200. */
static int control_refused(const struct control_client *c, const char *name,
	const struct http_answer *a, struct pluri_err *err)
{
	json_t *j =
		json_loadb((const char *)a->error.data, a->error.len, 0, NULL);
	const char *text = json_string_value(json_object_get(j, "error"));
	const json_int_t code = json_integer_value(json_object_get(j, "code"));
	int r;

	if (text && code > 0 && code < 4096)
		r = pluri_fail(err, (int)code, "%s", text);
	else
		r = pluri_fail(err, EBADMSG,
			"the daemon of volume %s answered %s with HTTP %u",
			c->name, name, a->status);
	json_decref(j);
	return r;
}

static int control_exchange(struct control_client *c, const char *name,
	struct pluri_span args, struct buf *text, struct pluri_err *err)
{
	static const char *const headers[] = {
		"Content-Type: application/json", NULL};
	const struct pluri_body body = {
		.size = args.len,
		.read = control_body,
		.arg = &args,
	};
	struct pluri_call call = {
		.deadline_ms = call_now_ms() + CONTROL_TIMEOUT_MS,
	};
	struct http_answer answer = {0};
	struct http_request q = {
		.method = "POST",
		.headers = headers,
		.body = &body,
		.text = text,
	};
	char url[128];
	int r;

	(void)snprintf(url, sizeof(url), "http://localhost%s%.64s",
		CONTROL_PREFIX, name);
	q.url = url;
	r = http_run(c->http, &call, &q, &answer, err);
	if (r < 0)
		(void)pluri_where(err, "the daemon of volume %s", c->name);
	else if (answer.status != 200)
		r = control_refused(c, name, &answer, err);
	http_answer_free(&answer);
	return r;
}

static int control_remote(struct control_client *c, const char *name,
	const json_t *args, json_t **ret, struct pluri_err *err)
{
	pluri_auto_mem char *say = json_dumps(args, JSON_COMPACT);
	json_error_t where;
	struct buf text;
	json_t *j = NULL;
	int r;

	if (!say || strlen(say) > CONTROL_ASK_MAX)
		return pluri_fail(err, EINVAL,
			"%s: the arguments are no JSON, or more than %u bytes",
			name, CONTROL_ASK_MAX);
	buf_init(&text, CONTROL_ANSWER_MAX);
	r = control_exchange(
		c, name, (struct pluri_span){say, strlen(say)}, &text, err);
	if (r == 0)
		j = json_loadb(buf_text(&text), text.len, 0, &where);
	buf_free(&text);
	if (r == 0 && !json_is_object(j)) {
		json_decref(j);
		return pluri_fail(err, EBADMSG,
			"the daemon of volume %s: its answer to %s is not a "
			"JSON object: %.160s",
			c->name, name, where.text);
	}
	if (r == 0)
		*ret = j;
	return r;
}

int control_ask(struct control_client *c, const char *name, const json_t *args,
	json_t **ret, struct pluri_err *err)
{
	if (c->volume)
		return control_call(c->volume, name, args, ret, err);
	return control_remote(c, name, args, ret, err);
}
