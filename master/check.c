/*
 * janus -t. Besides what the configuration says, it looks at what a start would meet: memory, descriptors, and addresses that somebody has. Those of the
 * server that runs with the same runtime folder are no trouble: it is that one that the configuration is for.
 */
#include "master/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/ctl/client.h"
#include "master/limits.h"
#include "master/listen.h"
#include "master/port_owner.h"
#include "master/privileges.h"
#include "master/secret_files.h"

#define WAIT_SECONDS 3		/* for the server that runs */

static void say(void *arg, const char *error)
{
	(void)arg;
	fprintf(stderr, "janus: %s\n", error);
}

/* The server of the runtime folder; its `listeners` are 0 if there is none. */
static void ask_server(const char *runtime_dir, struct control_status *status)
{
	struct control_reply reply;
	int fd = control_client_open(runtime_dir);

	memset(status, 0, sizeof(*status));
	if (fd < 0)
		return;
	if (control_client_call(fd, CONTROL_STATUS, WAIT_SECONDS, &reply, status, NULL) < 0 || !reply.ok)
		memset(status, 0, sizeof(*status));
	close(fd);
}

static bool server_has(const struct control_status *status, const struct listen_address *address)
{
	struct listen_address its;
	char why[CONFIG_ERROR_MAX];

	for (unsigned i = 0; i < status->listeners; i++)
		if (config_address_read(&its, status->listen[i], why) == 0 && config_address_same(&its, address))
			return true;
	return false;
}

static unsigned port_of(const struct listen_address *address)
{
	if (config_address_path(address))
		return 0;
	if (address->addr.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&address->addr)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&address->addr)->sin_port);
}

/* 1: a start would fail. */
static int check_address(const struct listen_address *address)
{
	char error[CONFIG_ERROR_MAX], owner[128] = "";
	int number;

	if (listen_try(address, error) == 0)
		return 0;
	number = errno;
	if (number == EADDRINUSE && port_of(address))
		port_owner(port_of(address), owner, sizeof(owner));
	fprintf(stderr, "janus: %s%s%s%s\n", error, owner[0] ? ": " : "", owner, owner[0] ? " has it" : "");
	/* A service manager may start it with more privileges than who asks. */
	return number != EACCES;
}

/* 1: a start would fail. (A service manager may start it with more privileges than who asks.) */
static int check_files(const struct settings *settings)
{
	char error[CONFIG_ERROR_MAX];
	int fd;

	if (secret_files_read(settings, &fd, error) == 0) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	say(NULL, error);
	return errno != EACCES;
}

int check_main(const struct config_source *source)
{
	static struct config config;
	static struct control_status server;
	uint32_t descriptors = privileges_raise_descriptors();
	unsigned errors = config_check(&config, source, say, NULL);
	char error[CONFIG_ERROR_MAX];

	if (errors == 0 && limits_try(&config.settings, descriptors, error, sizeof(error)) < 0) {
		say(NULL, error);
		errors++;
	}
	if (errors == 0)
		errors += (unsigned)check_files(&config.settings);
	if (config_reached_admin(&config))
		fprintf(stderr, "janus: " CONFIG_REACHED_ADMIN "\n", config_reached_admin(&config)->url);
	/* Who asks may be another one than who starts it. (Of a configuration that is wrong nobody knows yet whom it means.) */
	if (errors == 0 && privileges_check(config.settings.user, error) < 0)
		say(NULL, error);
	if (errors == 0 && limits_connections(&config.settings, descriptors, error, sizeof(error)) < 0)
		say(NULL, error);
	ask_server(config.settings.runtime_dir, &server);
	for (unsigned i = 0; i < config.listeners; i++)
		if (!server_has(&server, &config.listen[i]))
			errors += check_address(&config.listen[i]);
	if (errors)
		return 1;
	puts("# The configuration is good. In force are:");
	config_print(stdout, &config);
	return 0;
}
