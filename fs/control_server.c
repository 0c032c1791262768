/*
 * A thread per connection, few of them: a call that takes its time (apply asks
 * new stores) does not hold up status.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "fs/answer.h"

#include "fs/control_int.h"

#define CONTROL_CONNECTIONS 32u
#define CONTROL_IDLE_S 60u
#define CONTROL_BACKLOG 16

struct control {
	struct volume *v;
	struct MHD_Daemon *http;
	int fd; /* listening; the daemon's once that runs */
};

/* One call on its way in. */
struct control_ask {
	struct buf body;
	int failed; /* to take the body: -errno */
};

/* --- answering ----------------------------------------------------------- */

static unsigned control_http_status(int code)
{
	switch (code) {
	case EINVAL:
	case EOVERFLOW:
		return MHD_HTTP_BAD_REQUEST;
	case EACCES:
	case EPERM:
		return MHD_HTTP_FORBIDDEN;
	case ENOENT:
		return MHD_HTTP_NOT_FOUND;
	case EBUSY:
	case EEXIST:
		return MHD_HTTP_CONFLICT;
	default:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

static enum MHD_Result control_send(
	struct MHD_Connection *to, unsigned status, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	struct MHD_Response *r = NULL;
	enum MHD_Result ok = MHD_NO;

	json_decref(j);
	if (text)
		r = MHD_create_response_from_buffer(
			strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(text);
		return MHD_NO; /* the connection is closed */
	}
	if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
		    "application/json") == MHD_YES)
		ok = MHD_queue_response(to, status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result control_send_error(
	struct MHD_Connection *to, const struct pluri_err *err)
{
	return control_send(to, control_http_status(err->code),
		json_pack("{so si}", "error", answer_text(err->text), "code",
			err->code));
}

/* Root, or who the daemon runs as. */
static int control_judge_peer(struct MHD_Connection *c, struct pluri_err *err)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);

	if (!i || getsockopt(i->connect_fd, SOL_SOCKET, SO_PEERCRED, &who,
			  &len) < 0)
		return pluri_fail(err, EACCES, "who asks cannot be told");
	if (who.uid != 0 && who.uid != geteuid())
		return pluri_fail(err, EACCES,
			"user %u may not manage this volume: it runs as user "
			"%u",
			(unsigned)who.uid, (unsigned)geteuid());
	return 0;
}

static int control_parse(
	const struct control_ask *a, json_t **ret, struct pluri_err *err)
{
	json_error_t where = {0};
	json_t *j;

	if (a->failed)
		return pluri_fail(err, -a->failed,
			"the arguments are more than %u bytes, or there is "
			"no memory for them",
			CONTROL_ASK_MAX);
	if (a->body.len == 0)
		j = json_object();
	else
		j = json_loadb(buf_text(&a->body), a->body.len,
			JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(j)) {
		json_decref(j);
		return pluri_fail(err, EINVAL,
			"the arguments are not a JSON object: %.160s",
			where.text);
	}
	*ret = j;
	return 0;
}

static int control_run(struct control *c, const struct control_ask *a,
	const char *url, const char *method, json_t **ret,
	struct pluri_err *err)
{
	const size_t skip = sizeof(CONTROL_PREFIX) - 1;
	json_t *args = NULL;
	int r;

	if (strcmp(method, MHD_HTTP_METHOD_POST) != 0 ||
		strncmp(url, CONTROL_PREFIX, skip) != 0)
		return pluri_fail(err, ENOENT,
			"there is nothing at %.16s %.100s: POST to %sNAME",
			method, url, CONTROL_PREFIX);
	r = control_parse(a, &args, err);
	if (r < 0)
		return r;
	r = control_call(c->v, url + skip, args, ret, err);
	json_decref(args);
	return r;
}

static enum MHD_Result control_begin(void **state)
{
	struct control_ask *a = calloc(1, sizeof(*a));

	if (!a)
		return MHD_NO;
	buf_init(&a->body, CONTROL_ASK_MAX);
	*state = a;
	return MHD_YES;
}

/* Its callback has one parameter more than a function of ours may have. */
#define CONTROL_PIECE const char *data, size_t *len

/* microhttpd calls this for the header, each piece of the body, and its end. */
static enum MHD_Result control_handle(void *arg, struct MHD_Connection *to,
	const char *url, const char *method, const char *version, CONTROL_PIECE,
	void **state)
{
	struct control_ask *a = *state;
	struct pluri_err err = {0};
	json_t *answer = NULL;
	int r;

	(void)version;
	if (!a)
		return control_begin(state);
	if (*len > 0) {
		if (!a->failed)
			a->failed = buf_add(&a->body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	r = control_judge_peer(to, &err);
	if (r == 0)
		r = control_run(arg, a, url, method, &answer, &err);
	if (r < 0) {
		err.code = -r;
		return control_send_error(to, &err);
	}
	return control_send(to, MHD_HTTP_OK, answer);
}

static void control_ended(void *arg, struct MHD_Connection *c, void **state,
	enum MHD_RequestTerminationCode how)
{
	struct control_ask *a = *state;

	(void)arg;
	(void)c;
	(void)how;
	if (!a)
		return;
	buf_free(&a->body);
	free(a);
	*state = NULL;
}

/* --- listening ----------------------------------------------------------- */

static int control_listen(struct control *c, struct pluri_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const struct sockaddr *addr = (const struct sockaddr *)&at;

	control_path(c->v->state_fd, at.sun_path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* we hold the lock: whoever left a socket here is gone */
	(void)unlinkat(c->v->state_fd, VOLUME_SOCKET, 0);
	if (c->fd < 0 || bind(c->fd, addr, sizeof(at)) < 0 ||
		fchmodat(c->v->state_fd, VOLUME_SOCKET, 0600, 0) < 0 ||
		listen(c->fd, CONTROL_BACKLOG) < 0)
		return pluri_fail(err, errno, "control socket %.300s/%s: %s",
			c->v->config->state, VOLUME_SOCKET, strerror(errno));
	return 0;
}

static int control_serve(struct control *c, struct pluri_err *err)
{
	c->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
					   MHD_USE_THREAD_PER_CONNECTION |
					   MHD_USE_POLL | MHD_USE_ITC,
		0, NULL, NULL, control_handle, c, MHD_OPTION_LISTEN_SOCKET,
		c->fd, MHD_OPTION_CONNECTION_LIMIT, CONTROL_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, CONTROL_IDLE_S,
		MHD_OPTION_NOTIFY_COMPLETED, control_ended, NULL,
		MHD_OPTION_END);
	if (!c->http)
		return pluri_fail(err, EIO,
			"the local API cannot be served: microhttpd did not "
			"start");
	c->fd = -1;
	return 0;
}

int control_start(struct volume *v, struct control **ret, struct pluri_err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return pluri_fail(err, ENOMEM, "control: no memory");
	c->v = v;
	c->fd = -1;
	r = control_listen(c, err);
	if (r == 0)
		r = control_serve(c, err);
	if (r < 0) {
		control_stop(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	(void)unlinkat(c->v->state_fd, VOLUME_SOCKET, 0);
	if (c->http)
		MHD_stop_daemon(c->http);
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c);
}
