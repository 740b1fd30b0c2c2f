/*
 * Asking the server. It is found by its runtime folder, so janusctl takes the same -c and -o as the server; without them it looks where one may be.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/ctl/client.h"
#include "master/ctl/ctl.h"
#include "master/ctl/masterless.h"
#include "master/runtime_dir.h"

#define RELOAD_SECONDS 60	/* for the reply to a reload: it goes from slot to slot */
#define WAIT_SECONDS 5		/* to anything else */
#define DEFAULT_FOLDER "/run/janus"		/* runtime_dir of root, if nothing is said */
#define TRIES 50			/* of what may be asked again, while there is no master: for so many times TRY_MS, in which another should come */
#define TRY_MS 100
#define HUB_SECONDS 3		/* for the hub segment, which can also be had without a reply */

/* The master did not answer within HUB_SECONDS: what can be had without it is not asked for a second time. */
static bool silent;

/* A process of the server that was found, if that has no master; 0 else. And where it was looked for last. */
static pid_t orphan;
static char asked_in[SETTINGS_TEXT_MAX];

static const char *found_in;		/* the configuration by which the server was found, NULL: none */

/* Errors that do not matter for finding the server; whoever reads the log does not see this. */
static void warn(void *arg, const char *error)
{
	unsigned *shown = arg;

	if ((*shown)++ == 0)
		fprintf(stderr, "janusctl: warning: %s (the server would refuse to take this up; janus -t says all)\n", error);
}

/* A configuration is wrong elsewhere: that is told beside the answer. `-o` is the server's, or this command's alone: nothing is said of it. */
static void warn_of_file(void)
{
	struct config_source file = { .file = found_in };
	static struct config config;
	unsigned shown = 0;

	if (found_in)
		config_check(&config, &file, warn, &shown);
}

/* The runtime folder that the arguments mean. 0, or the status, having said what is wrong. */
static int find_folder(const struct config_source *source, char folder[SETTINGS_TEXT_MAX])
{
	static struct config config;
	char error[CONFIG_ERROR_MAX];

	if (config_read(&config, source, error) < 0) {
		fprintf(stderr, "janusctl: %s\n", error);
		return EXIT_REFUSED;
	}
	memcpy(folder, config.settings.runtime_dir, SETTINGS_TEXT_MAX);
	return 0;
}

static bool says_folder(const struct config_source *source)
{
	for (unsigned i = 0; i < source->count; i++)
		if (strncmp(source->options[i], "runtime_dir", strlen("runtime_dir")) == 0)
			return true;
	return false;
}

/* Connects to the master there. -1 with errno; ESRCH: there is a server without one. */
static int open_folder(const char *folder)
{
	pid_t pid = masterless_find(folder);

	orphan = pid;
	snprintf(asked_in, sizeof(asked_in), "%s", folder);
	if (!pid)
		return control_client_open(folder);
	errno = ESRCH;
	return -1;
}

/*
 * Where a server may be, in this order: where -c or -o say; else what the package's configuration says, if it can be read, which is where a server is that
 * the machine started; then where one is that this user started, and one that root did.
 */
static int find_server(const struct ctl_arguments *args, char folder[SETTINGS_TEXT_MAX], int *fd)
{
	const char *file = getenv("JANUS_CONFIG");
	struct config_source source = args->source;
	int rc, first = 0;

	source.installed = NULL;
	if (!source.file && !says_folder(&source)) {
		source.file = file && *file ? file : args->source.installed;
		if (access(source.file, R_OK) == 0 && find_folder(&source, folder) == 0 && ((*fd = open_folder(folder)) >= 0 || errno == ESRCH)) {
			found_in = source.file;
			return 0;
		}
		first = access(source.file, R_OK) == 0 ? errno : ENOENT;
		source.file = NULL;
	}
	rc = find_folder(&source, folder);
	if (rc)
		return rc;
	found_in = args->source.file;
	*fd = open_folder(folder);
	if (*fd >= 0 || errno == ESRCH || args->source.file || says_folder(&source))
		return 0;
	/* One that is there and does not let this user in says more than one that is not there. */
	if (errno == ENOENT && (*fd = open_folder(DEFAULT_FOLDER)) < 0 && errno != ESRCH && first && first != ENOENT)
		errno = first;
	return 0;
}

/* The same, but for what is said of a server without a master. */
static int connect_to(const struct ctl_arguments *args, bool quiet, int *fd)
{
	char folder[SETTINGS_TEXT_MAX] = "";
	int rc;

	*fd = -1;
	rc = find_server(args, folder, fd);
	if (rc || *fd >= 0)
		return rc;
	if (errno == ESRCH)
		return EXIT_NO_MASTER;
	if (errno == ENOENT || errno == ECONNREFUSED) {
		if (!quiet)
			fprintf(stderr, "janusctl: no janus runs in %s (give janusctl the server's -c and -o)\n", folder);
		return EXIT_NO_SERVER;
	}
	if (errno == EACCES)
		fprintf(stderr, "janusctl: the server is another user's: become root or that user, or have its control_group be one of yours\n");
	else
		fprintf(stderr, "janusctl: %s/control: %s\n", folder, errno == ETIMEDOUT ? "the master takes no more connections: is it stopped?" : strerror(errno));
	return EXIT_REFUSED;
}

int ctl_connect(const struct ctl_arguments *args, bool quiet, int *fd)
{
	int rc = connect_to(args, quiet, fd);

	if (rc == EXIT_NO_MASTER && !quiet)
		masterless_complain(orphan);
	return rc;
}

int ctl_stop_masterless(unsigned wait_seconds)
{
	return masterless_stop(asked_in, orphan, wait_seconds);
}

int ctl_complain(int fd, enum control_command command)
{
	const char *name = control_command_name(command);
	int error = errno;
	uint32_t master = (uint32_t)control_client_peer(fd);

	if (error == ETIMEDOUT && master)
		fprintf(stderr, "janusctl: %s: the master (process %" PRIu32 ") does not answer: is it stopped?\n", name, master);
	else
		fprintf(stderr, "janusctl: %s: %s\n", name,
			error == ECONNRESET	   ? "the master ended before it answered: it may have been done, or not"
			: error == EPROTONOSUPPORT ? "the server speaks another version of the control protocol"
						   : strerror(error));
	return EXIT_REFUSED;
}

static int attach_hub(int fd, struct hub *hub)
{
	int rc = hub_attach(hub, fd, false);

	close(fd);
	if (rc == 0)
		return 0;
	fprintf(stderr, "janusctl: cannot read the hub segment: %s\n",
		errno == EPROTO ? "it is another version's; use the server's own janusctl" : strerror(errno));
	return EXIT_REFUSED;
}

/* What the hub says of a server whose master does not answer. 0, or the status. */
static int read_status(int hub_fd, struct control_status *status)
{
	struct hub hub;
	int rc = attach_hub(hub_fd, &hub);

	if (rc)
		return rc;
	ctl_status_of_hub(&hub, status);
	hub_detach(&hub);
	return 0;
}

/* Nothing was answered in time. What only looks goes on without: 0, or the status. One of `status` and `passed` is there. */
static int do_without(int fd, enum control_command command, struct control_status *status, int *passed)
{
	int hub = control_client_find_hub(control_client_peer(fd)), error = errno;

	silent = true;
	if (passed && hub >= 0) {
		*passed = hub;		/* as good as an answer: nothing is missing */
		return 0;
	}
	errno = ETIMEDOUT;
	ctl_complain(fd, command);
	if (status) {
		memset(status, 0, sizeof(*status));
		status->pid = (uint32_t)control_client_peer(fd);
	}
	if (hub >= 0)
		return read_status(hub, status);
	fprintf(stderr, "janusctl: %s: without it, only root and the server's user can look at its memory (%s)\n", control_command_name(command), strerror(error));
	return EXIT_REFUSED;
}

/* Nobody is there to answer. The same, but that a status says it by itself. */
static int do_without_master(enum control_command command, struct control_status *status, int *passed)
{
	int hub = control_client_find_hub(orphan);

	if (status)
		memset(status, 0, sizeof(*status));
	if (passed && hub >= 0) {
		*passed = hub;
		return 0;
	}
	if (status && hub >= 0)
		return read_status(hub, status);
	fprintf(stderr, "janusctl: %s: the server has no master, and only root and its user can look at its memory (%s)\n", control_command_name(command), strerror(errno));
	return EXIT_REFUSED;
}

/* One that acts may take its time; one that only looks should not. */
static unsigned patience(enum control_command command)
{
	return command == CONTROL_HUB ? HUB_SECONDS : command == CONTROL_RELOAD ? RELOAD_SECONDS : WAIT_SECONDS;
}

int ctl_ask(const struct ctl_arguments *args, bool quiet, enum control_command command, struct control_status *status, int *passed)
{
	struct control_reply reply;
	int fd, rc = connect_to(args, quiet, &fd);

	if (rc == EXIT_NO_MASTER)
		return do_without_master(command, status, passed);
	if (rc)
		return rc;
	if (control_client_call(fd, command, patience(command), &reply, status, passed) < 0) {
		rc = errno == ETIMEDOUT ? do_without(fd, command, status, passed) : ctl_complain(fd, command);
	} else if (!reply.ok) {
		fprintf(stderr, "janusctl: %s: %s\n", control_command_name(command), reply.error);
		rc = EXIT_REFUSED;
	} else if (command == CONTROL_STATUS && !quiet) {
		warn_of_file();
	}
	close(fd);
	return rc;
}

/* The master has ended, and the server goes on: without one, or with the next. */
static bool goes_on(void)
{
	struct runtime_dir_holders holders = runtime_dir_holders(asked_in);

	return holders.master || holders.keeper;
}

/* False: there is no master just now, or it ended before it answered; the next one may answer. *rc: the status; nothing was said if it is EXIT_NO_MASTER. */
static bool try_packet(const struct ctl_arguments *args, const struct control_request *request, void *packet, size_t *packet_len, struct control_reply *reply, int *rc)
{
	uint8_t bytes[CONTROL_REQUEST_MAX];
	ssize_t len;
	int fd;

	*rc = connect_to(args, false, &fd);
	if (*rc)
		return *rc != EXIT_NO_MASTER;
	len = control_client_exchange(fd, bytes, control_request_write(bytes, request), patience(request->command), packet);
	if (len >= 0 && control_reply_unpack(packet, (size_t)len, reply, NULL) == 0)
		*packet_len = (size_t)len;
	else if (len < 0 && errno == ECONNRESET && goes_on())
		*rc = EXIT_NO_MASTER;
	else
		*rc = ctl_complain(fd, request->command);
	close(fd);
	return *rc != EXIT_NO_MASTER;
}

int ctl_ask_packet(const struct ctl_arguments *args, enum control_command command, const char *argument, void *packet, size_t *packet_len,
		   struct control_reply *reply)
{
	struct control_request request = { .command = command, .slot = CONTROL_NO_SLOT };
	unsigned tries = 0;
	int rc;

	if (strlen(argument) >= CONTROL_ARGUMENT_MAX) {
		fprintf(stderr, "janusctl: %s: the word is too long\n", control_command_name(command));
		return EXIT_USAGE;
	}
	snprintf(request.argument, sizeof(request.argument), "%s", argument);
	while (!try_packet(args, &request, packet, packet_len, reply, &rc) && ++tries < TRIES)
		nanosleep(&(struct timespec){ .tv_nsec = TRY_MS * 1000000L }, NULL);
	if (rc == EXIT_NO_MASTER)
		masterless_complain(orphan);
	return rc;
}

int ctl_open_hub(const struct ctl_arguments *args, struct hub *hub)
{
	int fd, rc = ctl_ask(args, false, CONTROL_HUB, NULL, &fd);

	if (rc)
		return rc;
	if (fd < 0) {
		fprintf(stderr, "janusctl: the server's answer came without the hub segment\n");
		return EXIT_REFUSED;
	}
	return attach_hub(fd, hub);
}

/* Those that the master has, which does not answer. */
static int find_slots(int fd, int *fds)
{
	unsigned found = control_client_find_slots(control_client_peer(fd), fds, INDEX_SLOTS_MAX);

	return found ? (int)found : -1;
}

int ctl_open_slots(const struct ctl_arguments *args, struct slot slots[INDEX_SLOTS_MAX])
{
	struct control_reply reply = { .ok = true };
	int fds[INDEX_SLOTS_MAX], count, fd, rc = connect_to(args, false, &fd);

	memset(slots, 0, INDEX_SLOTS_MAX * sizeof(*slots));
	if (rc && rc != EXIT_NO_MASTER)
		return rc;
	if (rc == EXIT_NO_MASTER)
		count = masterless_slots(orphan, fds);
	else
		count = silent ? find_slots(fd, fds) : control_client_slots(fd, HUB_SECONDS, &reply, fds);
	rc = 0;
	if (count < 0 && errno == ETIMEDOUT)
		count = find_slots(fd, fds);
	if (count < 0 || !reply.ok) {
		fprintf(stderr, "janusctl: the slots' segments: %s\n", reply.ok ? strerror(errno) : reply.error);
		rc = EXIT_REFUSED;
	}
	for (int i = 0; i < count; i++) {
		int slot = control_client_slot_of(fds[i]);

		/* (While a program with another layout may have to give back to the one before, both have segments of the same name.) */
		if (slot >= 0 && !slots[slot].shm && clients_attach(&slots[slot], fds[i]) < 0 && errno != EPROTO) {
			fprintf(stderr, "janusctl: the segment of slot %d: %s\n", slot, strerror(errno));
			rc = EXIT_REFUSED;
		}
		close(fds[i]);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

void ctl_close_slots(struct slot slots[INDEX_SLOTS_MAX])
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		slot_detach(&slots[i]);
}

int ctl_number(const struct ctl_arguments *args, enum ctl_option option, const char *name, unsigned long most, unsigned long otherwise, unsigned long *n)
{
	const char *text = args->option[option];
	char *end;

	if (!text) {
		*n = otherwise;
		return 0;
	}
	errno = 0;
	*n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *n < 1 || *n > most) {
		fprintf(stderr, "janusctl: --%s is a number, 1 to %lu\n", name, most);
		return EXIT_USAGE;
	}
	return 0;
}

int ctl_whole_number(const struct ctl_arguments *args, enum ctl_option option, const char *name, long most, int64_t *n)
{
	const char *text = args->option[option];
	char *end;

	*n = -1;
	if (!text)
		return 0;
	errno = 0;
	*n = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *n > most) {
		fprintf(stderr, "janusctl: --%s is a number, 0 to %ld\n", name, most);
		return EXIT_USAGE;
	}
	return 0;
}
