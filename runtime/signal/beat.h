/* A beat in the light of those before it: what the loops over beats share. No limit stands here. */
#include "loops.h"

enum { N, S, V, CLASSES = 5 }; /* of `beats.CLASSES` */

/* The class whose weighted probability is the largest, of equal ones the first: `beats.choose_label`. */
static inline int chosen(const double *classes, const double *weights, int size) {
    int best = 0;
    for (int k = 1; k < size; k++)
        if (classes[k] * weights[k] > classes[best] * weights[best]) best = k;
    return best;
}

/* Limits of `baseline.RrBaseline`. */
typedef struct {
    double bias, gain, sudden, beyond_shortest, most, unknown, max_prematurity, shortest_change,
        shortest_forgets, beats, lasting_s, steady_change, steady_s, shortest_s, longest_s, fs, same_rate, run_beats, floor;
} Intervals;

/* `baseline.BaselineState`; what may be None is NaN. */
typedef struct {
    double log_interval, beats, compared, previous, previous_atrial, run_start, run_beats, run_log_interval,
        run_change, last_log_interval, gradual, shortest, second_shortest;
} Baseline;

/* Their names, and those of `atrial.AtrialState` that are read here. */
enum { PREVIOUS = 3, PREVIOUS_ATRIAL, RUN_START, RUN_BEATS, BASELINE_FIELDS = 13 };
static const char *const BASELINE_NAMES[BASELINE_FIELDS] = {
    "log_interval",     "beats",      "compared",          "previous", "previous_atrial", "run_start",      "run_beats",
    "run_log_interval", "run_change", "last_log_interval", "gradual",  "shortest",        "second_shortest"};
static PyObject *baseline_names[BASELINE_FIELDS];

/* The numbers of a `baseline.BaselineState`; -1 with an error set. */
static inline int read_baseline(PyObject *from, Baseline *state) {
    double *numbers = (double *)state;
    for (int i = 0; i < BASELINE_FIELDS; i++) {
        PyObject *value = PyObject_GetAttr(from, baseline_names[i]);
        if (!value) return -1;
        numbers[i] = value == Py_None ? NAN : PyFloat_AsDouble(value);
        Py_DECREF(value);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Write what has changed. */
static inline void write_baseline(PyObject *to, const Baseline *state, const Baseline *was) {
    const double *numbers = (const double *)state, *before = (const double *)was;
    for (int i = 0; i < BASELINE_FIELDS; i++) {
        double number = numbers[i];
        if (number == before[i] || (isnan(number) && isnan(before[i]))) continue;
        set(to, baseline_names[i],
            isnan(number)          ? Py_NewRef(Py_None)
            : i == PREVIOUS_ATRIAL ? PyBool_FromLong(number != 0)
            : i == PREVIOUS || i == RUN_START || i == RUN_BEATS ? PyLong_FromLongLong((long long)number)
                                                                : PyFloat_FromDouble(number));
    }
}

static inline double floored(double probability, double least) {
    return probability > least ? probability : least;
}

/* Probability of S, given N or S: `RrBaseline._premature`. */
static inline double premature_of(const Baseline *state, const Intervals *limits, double network,
                                  double log_interval, int after_atrial) {
    double evidence = limits->bias;
    if (after_atrial && !isnan(state->log_interval)) {
        double usual = state->log_interval, last = state->last_log_interval;
        evidence += limits->gain * clipped(usual - log_interval, 0, limits->max_prematurity);
        evidence += limits->sudden *
                    clipped((usual < last ? usual : last) - log_interval, 0, limits->max_prematurity);
        double normal = state->beats / limits->beats; /* one at most */
        double shortest = usual + normal * normal * (state->second_shortest - usual);
        evidence += limits->beyond_shortest *
                    clipped(shortest - log_interval, -limits->max_prematurity, limits->max_prematurity);
    }
    evidence = evidence < limits->most ? evidence : limits->most;
    double known = (state->beats > state->compared ? state->beats : state->compared) / limits->beats;
    known = known < 1 ? known : 1;
    evidence = known * evidence + (1 - known) * limits->unknown;
    return 1 / (1 + exp(-(network + evidence)));
}

/* True if the S beats in a row up to this one are a rate that lasts: `RrBaseline._lasts`. */
static inline int lasts(Baseline *state, const Intervals *limits, double sample, double log_interval,
                        double premature) {
    double last = state->last_log_interval;
    state->last_log_interval = (float)log_interval;
    int goes_on =
        state->run_beats > 0 && fabs(log_interval - state->run_log_interval) < limits->same_rate;
    if (premature < 0.5 && !(!isnan(state->run_start) && goes_on)) {
        state->run_start = NAN;
        return 0;
    }
    if (isnan(state->run_start)) {
        state->run_start = sample;
        state->run_beats = state->run_change = 0;
        state->run_log_interval = state->last_log_interval;
        return 0;
    }
    state->run_beats = state->run_beats + 1 < limits->run_beats ? state->run_beats + 1 : limits->run_beats;
    double learnt = 1 / state->run_beats;
    state->run_log_interval =
        (float)(state->run_log_interval + (log_interval - state->run_log_interval) * learnt);
    state->run_change =
        (float)(state->run_change + (fabs(log_interval - last) - state->run_change) * learnt);
    double lasting = state->run_change < limits->steady_change ? limits->steady_s : limits->lasting_s;
    return sample - state->run_start >= lasting * limits->fs;
}

/* One more interval that ended in an N beat: `RrBaseline._remember`. */
static inline void remember_short(Baseline *state, const Intervals *limits, double log_interval) {
    double usual = state->log_interval, share = limits->shortest_forgets;
    double gradual = state->gradual + (usual - state->gradual) * share;
    double shortest = state->shortest + (usual - state->shortest) * share;
    double second = state->second_shortest + (usual - state->second_shortest) * share;
    if (log_interval > gradual - limits->shortest_change) {
        gradual = log_interval;
        second = fmin(second, fmax(shortest, gradual));
        shortest = fmin(shortest, gradual);
    }
    state->gradual = (float)gradual;
    state->shortest = (float)shortest;
    state->second_shortest = (float)second;
}

/* The probability of S, given N or S, of the next beat, and the state after it; NaN if the beat stays as
 * it is: `RrBaseline.read`. */
static inline double next(Baseline *state, const Intervals *limits, double sample, long label, double n,
                          double s, int sinus_certain) {
    double previous = state->previous, after_atrial = state->previous_atrial;
    state->previous = sample;
    state->previous_atrial = label == N || label == S;
    if (isnan(previous) || !sinus_certain) state->run_start = NAN;
    if (isnan(previous)) return NAN;
    double log_interval =
        log(clipped((sample - previous) / limits->fs, limits->shortest_s, limits->longest_s));
    if (isnan(state->log_interval))
        state->log_interval = state->gradual = state->shortest = state->second_shortest = (float)log_interval;
    if (!state->previous_atrial || !sinus_certain) return NAN;
    double network = log(floored(s, limits->floor) / floored(n, limits->floor));
    double premature = premature_of(state, limits, network, log_interval, after_atrial != 0);
    if (!after_atrial) return premature;
    if (lasts(state, limits, sample, log_interval, premature)) {
        state->log_interval = state->gradual = state->shortest = state->second_shortest =
            state->run_log_interval;
        state->run_start = NAN;
        premature = premature_of(state, limits, network, log_interval, 1);
    }
    double late = log_interval - state->log_interval, beats = state->beats, most = limits->beats;
    double remembered = beats < most ? beats : most, compared = state->compared + 1;
    state->log_interval = (float)(state->log_interval + (1 - premature) / remembered * late);
    beats = beats + 1 - premature;
    state->beats = (float)(beats < most ? beats : most);
    state->compared = (float)(compared < most ? compared : most);
    if (premature < 0.5) remember_short(state, limits, log_interval);
    return premature;
}

/* P waves: `atrial.AtrialState`. */
enum { MAX_WAVE = 63, MEANS = 2 };

/* A beat's P wave goes into the means [rows, size + 1] as far as each has learnt [rows]. */
static inline void take_wave(const float *before, const float *detrend, Py_ssize_t size, float *means,
                             const float *learnt, Py_ssize_t rows) {
    float wave[MAX_WAVE + 1];
    double power = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        wave[i] = 0;
        for (Py_ssize_t k = 0; k < size; k++) wave[i] += detrend[i * size + k] * before[k];
        power += (double)wave[i] * wave[i];
    }
    wave[size] = (float)(power / size);
    for (Py_ssize_t row = 0; row < rows; row++, means += size + 1)
        for (Py_ssize_t i = 0; i <= size; i++) means[i] += (wave[i] - means[i]) * learnt[row];
}

/* Log of the share of the power that is left in a mean [size + 1]. */
static inline double left_in(const float *mean, Py_ssize_t size) {
    double left = 0;
    for (Py_ssize_t i = 0; i < size; i++) left += (double)mean[i] * mean[i];
    return log(left / size / (mean[size] + 1e-5) + 0.01);
}

typedef struct {
    double fs, shortest_s, longest_s, shortest_counted_s, longest_counted_s, usual_s, p_wave_left, most_beats;
} Atrial;

/* The mean P waves, and the last beat; NaN if it or its interval is not known. */
typedef struct {
    float *means;
    Py_ssize_t size, known;
    double previous, log_interval;
} Atria;

enum { INPUTS = 7 }; /* of the second graph */

/* What the second graph reads of the next beat: `AtrialState.take`. `wave` is NULL if it is not at hand. */
static inline void read_beat(Atria *atria, const Atrial *limits, const float *detrend, const float *learnt,
                             double sample, int atrial, const float *wave, float *row) {
    if (atrial && wave) {
        if (atria->known < limits->most_beats) atria->known++;
        take_wave(wave, detrend, atria->size, atria->means, learnt + MEANS * atria->known, MEANS);
    }
    double interval = (sample - atria->previous) / limits->fs, length = NAN, last = atria->log_interval;
    if (limits->shortest_s < interval && interval < limits->longest_s)
        length = (float)log(clipped(interval, limits->shortest_counted_s, limits->longest_counted_s) /
                            limits->usual_s);
    const float *second = atria->means + atria->size + 1;
    row[0] = isnan(length) ? 0 : (float)length;
    row[1] = !isnan(length);
    row[2] = (float)atrial;
    row[3] = atria->known ? (float)(left_in(atria->means, atria->size) - limits->p_wave_left) : 0;
    row[4] = atria->known ? (float)(left_in(second, atria->size) - limits->p_wave_left) : 0;
    row[5] = (float)(atria->known / limits->most_beats);
    row[6] = isnan(length) || isnan(last) ? 0 : (float)(length - last);
    atria->previous = sample;
    atria->log_interval = length;
}

/* The usual QRS complex: `template.QrsTemplate`. */
enum { STEP = 3 };

/* Sum of products in the order of OpenBLAS with AVX2, whose last bits scores show: by 32 in lanes of
 * float, and those left over in double. */
static inline float dot(const float *a, const float *b, int size) {
    float lanes[4][8] = {{0}}, row[8];
    double rest = 0;
    int i = 0;
    for (; i + 32 <= size; i += 32)
        for (int k = 0; k < 32; k++) lanes[k / 8][k % 8] += a[i + k] * b[i + k];
    for (int k = 0; k < 8; k++) row[k] = lanes[0][k] + lanes[1][k] + lanes[2][k] + lanes[3][k];
    for (int k = 0; k < 4; k++) row[k] += row[k + 4];
    for (; i < size; i++) rest += a[i] * b[i];
    return (float)(rest + ((row[0] + row[1]) + (row[2] + row[3])));
}

/* The mean square of second differences, and the correlation with a template [wide] at the best shift
 * (0 without one). `piece` [wide] is filled with the beat there, less its mean: `template._placed`. */
WIDE static inline void laid(const float *around, int coarser, const float *usual, float *piece, int wide,
                      double *square, double *correlation) {
    int shifts = coarser - wide, best = shifts / 2;
    float coarse[64], second[64], product = -INFINITY, mean = 0;
    for (int i = 0; i < coarser; i++)
        coarse[i] = (around[STEP * i] + around[STEP * i + 1] + around[STEP * i + 2]) * (1.0f / STEP);
    for (int i = 2; i < coarser; i++)
        second[i - 2] = (coarse[i] - coarse[i - 1]) - (coarse[i - 1] - coarse[i - 2]);
    double sums[64] = {0}; /* as `dot` of fewer than 32, of all shifts at once */
    for (int i = 0; usual && wide < 32 && i < wide; i++)
        for (int shift = 0; shift <= shifts; shift++) sums[shift] += coarse[shift + i] * usual[i];
    for (int shift = 0; usual && shift <= shifts; shift++) {
        float sum = wide < 32 ? (float)sums[shift] : dot(coarse + shift, usual, wide);
        if (sum > product) product = sum, best = shift;
    }
    for (int i = 0; i < wide; i++) piece[i] = 1;
    mean = (float)((double)dot(coarse + best, piece, wide) / wide);
    for (int i = 0; i < wide; i++) piece[i] = coarse[best + i] - mean;
    double power = usual ? (double)dot(piece, piece, wide) * dot(usual, usual, wide) : 1;
    *square = (double)dot(second, second, coarser - 2) / (coarser - 2);
    *correlation = usual ? product / sqrt(power + 1e-9) : 0.0;
}

typedef struct {
    double min_normal, min_correlation, max_correlation, max_beats, still_mv, max_roughness, ordinary_z,
        first_few, peak_start, peak_stop, highest_mv;
} Template;

/* Of `template.TemplateState`. */
typedef struct {
    double beats, roughness, correlation_z;
} Usual;

/* What a beat is compared with the usual ones. */
typedef struct {
    double z_below, roughness_above, trust;
} Compared;

/* True if the deflection at the R peak is no higher than any heart makes it. */
static inline int is_low(const Template *limits, const float *around) {
    float high = -INFINITY, low = INFINITY;
    for (int i = (int)limits->peak_start; i < limits->peak_stop; i++) {
        high = around[i] > high ? around[i] : high;
        low = around[i] < low ? around[i] : low;
    }
    return high - low <= limits->highest_mv;
}

/* Compare a beat: `template._compare`. If it is certainly N, `piece` becomes the new template and `usual`
 * is moved on: true then. There is no template if `known` is NULL. */
static inline int compared_with(const Template *limits, double normal, const float *around, int coarser,
                                const float *known, float *piece, int wide, Usual *usual, Compared *compared) {
    double square, correlation, z = limits->ordinary_z;
    laid(around, coarser, known, piece, wide, &square, &correlation);
    double roughness = log(sqrt(square) + limits->still_mv);
    if (known) {
        z = atanh(clipped(correlation, limits->min_correlation, limits->max_correlation));
        compared->z_below = usual->correlation_z - z;
        compared->roughness_above =
            clipped(roughness - usual->roughness, -limits->max_roughness, limits->max_roughness);
        compared->trust = usual->beats / limits->max_beats;
    }
    if (!(normal > limits->min_normal)) return 0;
    /* `template._remember`, in float32, as a state is saved */
    double beats = usual->beats + 1 < limits->max_beats ? usual->beats + 1 : limits->max_beats;
    double remembered = beats > limits->first_few ? beats : limits->first_few;
    float share = (float)(1 / beats);
    if (known)
        for (int i = 0; i < wide; i++) piece[i] = known[i] + (piece[i] - known[i]) * share;
    usual->beats = beats;
    usual->roughness =
        known ? (float)(usual->roughness + (roughness - usual->roughness) / beats) : (float)roughness;
    usual->correlation_z = (float)(usual->correlation_z + (z - usual->correlation_z) / remembered);
    return 1;
}

/* Probabilities of `beats.CLASSES`, their log-odds of V shifted by so much: `template.towards_v`. */
static inline void towards_v(double *classes, double shift, double most, double floor) {
    double n = classes[N], s = classes[S], v = classes[V], atrial = n + s, together = n + s + v;
    double log_odds = log(floored(v, floor) / floored(atrial, floor)) + clipped(shift, -most, most);
    v = together / (1 + exp(-log_odds));
    double left = together - v, normal = floored(n, floor);
    normal /= normal + s;
    classes[N] = left * normal;
    classes[S] = left * (1 - normal);
    classes[V] = v;
}

/* The second graph: `../model/rhythm_network.py`, which says how its weights lie. */
enum { MAX_CELLS = 256, MAX_EMBEDDED = 64 };

/* out[k] += sum over i of values[i] * matrix[i][k], in float. */
static inline void add_product(const float *values, int rows, const float *matrix, int columns, float *out) {
    for (int i = 0; i < rows; i++, matrix += columns)
        for (int k = 0; k < columns; k++) out[k] += values[i] * matrix[k];
}

/* The answers of the second graph at a beat [inputs], of which `memory` [cells] moves on. */
WIDE static inline void gru_step(const float *beat, int inputs, int wide, const float *weights, int cells,
                          float *memory, float *found) {
    const float *embed_bias = weights + inputs * wide, *given_weights = embed_bias + wide;
    const float *own_weights = given_weights + 3 * cells * wide, *bias = own_weights + 3 * cells * cells;
    const float *own_bias = bias + 3 * cells, *verdict = own_bias + 3 * cells;
    float input[MAX_EMBEDDED], fresh[3 * MAX_CELLS], own[3 * MAX_CELLS];
    memcpy(input, embed_bias, wide * sizeof *input);
    memcpy(fresh, bias, 3 * cells * sizeof *fresh);
    memcpy(own, own_bias, 3 * cells * sizeof *own);
    add_product(beat, inputs, weights, wide, input);
    for (int i = 0; i < wide; i++) input[i] = tanhf(input[i]);
    add_product(input, wide, given_weights, 3 * cells, fresh);
    add_product(memory, cells, own_weights, 3 * cells, own);
    for (int i = 0; i < cells; i++) {
        float keep = 1 / (1 + expf(-(fresh[i] + own[i])));
        float reset = 1 / (1 + expf(-(fresh[cells + i] + own[cells + i])));
        float latest = tanhf(fresh[2 * cells + i] + reset * own[2 * cells + i]);
        memory[i] = (1 - keep) * latest + keep * memory[i];
    }
    memcpy(found, verdict + 2 * cells, 2 * sizeof *found);
    add_product(memory, cells, verdict, 2, found);
}

/* True if so many numbers are the weights of such a graph. */
static inline int weights_fit(Py_ssize_t numbers, Py_ssize_t inputs, Py_ssize_t wide, Py_ssize_t cells) {
    return inputs >= 1 && wide >= 1 && wide <= MAX_EMBEDDED && cells <= MAX_CELLS &&
           numbers == (inputs + 1) * wide + 3 * cells * (wide + cells + 2) + 2 * cells + 2;
}
