#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/http_pool.h"

#define CONNECT_MS 5000u
#define IDLE_MAX 64u
#define SEND_BYTES (256l << 10)
#define RECEIVE_BYTES (128l << 10)

struct http_pool {
	char *ca_file, *proxy, *unix_socket, *user_agent;
	uint32_t connect_ms;
	CURLSH *share; /* names, TLS sessions */
	pthread_mutex_t shared[CURL_LOCK_DATA_LAST]; /* guard share's parts */
	pthread_mutex_t lock; /* guards idle, idle_n */
	struct http_slot *idle;
	unsigned idle_n;
};

static void share_lock(
	CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
	struct http_pool *p = arg;

	(void)easy;
	(void)access;
	pthread_mutex_lock(&p->shared[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *arg)
{
	struct http_pool *p = arg;

	(void)easy;
	pthread_mutex_unlock(&p->shared[data]);
}

static void slot_free(struct http_slot *s)
{
	if (!s)
		return;
	curl_easy_cleanup(s->easy);
	curl_multi_cleanup(s->multi);
	free(s);
}

static void set_connection(const struct http_pool *p, CURL *c)
{
	curl_easy_setopt(c, CURLOPT_SHARE, p->share);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1l);
	/* A resolver that hangs is left behind: deadlines come first. */
	curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1l);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0l);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1l);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2l);
	if (p->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, p->ca_file);
	curl_easy_setopt(c, CURLOPT_PROXY, p->proxy);
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1l);
	if (p->unix_socket)
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, p->unix_socket);
	curl_easy_setopt(c, CURLOPT_USERAGENT, p->user_agent);
	curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1l);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1l);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_ms);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BYTES);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1l);
}

static struct http_slot *slot_new(void)
{
	struct http_slot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->easy = curl_easy_init();
	s->multi = curl_multi_init();
	if (s->easy && s->multi)
		return s;
	slot_free(s);
	return NULL;
}

struct http_slot *http_pool_take(struct http_pool *p)
{
	struct http_slot *s;

	pthread_mutex_lock(&p->lock);
	s = p->idle;
	if (s) {
		p->idle = s->next;
		p->idle_n--;
	}
	pthread_mutex_unlock(&p->lock);
	if (!s)
		s = slot_new();
	if (s)
		set_connection(p, s->easy);
	return s;
}

/* Last used first out, so that spare connections age and close. */
void http_pool_give(struct http_pool *p, struct http_slot *s)
{
	curl_easy_reset(s->easy);
	pthread_mutex_lock(&p->lock);
	if (p->idle_n < IDLE_MAX) {
		s->next = p->idle;
		p->idle = s;
		p->idle_n++;
		s = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	slot_free(s);
}

static int copy(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int set_up(struct http_pool *p, const struct http_options *o)
{
	const char *agent =
		o->user_agent ? o->user_agent : "plurifs/" PLURI_VERSION;

	if (copy(&p->ca_file, o->ca_file) < 0 ||
		copy(&p->proxy, o->proxy ? o->proxy : "") < 0 ||
		copy(&p->unix_socket, o->unix_socket) < 0 ||
		copy(&p->user_agent, agent) < 0)
		return -ENOMEM;
	p->connect_ms = o->connect_ms ? o->connect_ms : CONNECT_MS;
	p->share = curl_share_init();
	if (!p->share)
		return -ENOMEM;
	curl_share_setopt(p->share, CURLSHOPT_LOCKFUNC, share_lock);
	curl_share_setopt(p->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
	curl_share_setopt(p->share, CURLSHOPT_USERDATA, p);
	curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(
		p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return 0;
}

int http_pool_new(const struct http_options *o, struct http_pool **ret,
	struct pluri_err *err)
{
	pluri_auto(http_pool) p = NULL;

	if (o->ca_file && access(o->ca_file, R_OK) < 0)
		return pluri_fail(err, EINVAL, "ca_file %s: %s", o->ca_file,
			strerror(errno));
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return pluri_fail(err, ENOMEM, "libcurl does not start");
	p = calloc(1, sizeof(*p));
	if (!p) {
		curl_global_cleanup();
		return pluri_fail(err, ENOMEM, "no memory for HTTP");
	}
	pthread_mutex_init(&p->lock, NULL);
	for (unsigned i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_init(&p->shared[i], NULL);
	if (set_up(p, o) < 0)
		return pluri_fail(err, ENOMEM, "no memory for HTTP");
	*ret = pluri_steal(p);
	return 0;
}

void http_pool_free(struct http_pool *p)
{
	if (!p)
		return;
	while (p->idle) {
		struct http_slot *s = p->idle;

		p->idle = s->next;
		slot_free(s);
	}
	if (p->share)
		curl_share_cleanup(p->share);
	for (unsigned i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_destroy(&p->shared[i]);
	pthread_mutex_destroy(&p->lock);
	free(p->ca_file);
	free(p->proxy);
	free(p->unix_socket);
	free(p->user_agent);
	free(p);
	curl_global_cleanup();
}
