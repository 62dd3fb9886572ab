/* Whether a V or S beat is artefact: `../rhythm/artefact.py`. No limit stands here. */

enum { LOOKED_AT = 540 / 3, ARTEFACT_INPUTS = 33, MAX_HIDDEN = 64, MAX_LEVELS = 64 };

typedef struct {
    double from, to;
} Span;

/* `artefact.LOOK`: places in means of `STEP` samples, and limits. */
typedef struct {
    double first, last, fs, r;
    Span height, before, after, later, deflection, inner, core, top, slopes, curves, quiet_before, quiet_after, wave,
        here, earlier, next;
    double quarter, visible, width, narrow_width, flat_top, floor_mv, still_mv, no_mv, known_beats, flat_power,
        flat_energy, max_level, max_slopes, min_alike, max_alike, max_height, max_late, off, template_before, floor,
        largest, v, s;
} Look;

/* What is known of the patient before the beat; the template is NULL if there is none, what may be None is NaN. */
typedef struct {
    const float *usual;
    int size;
    double correlation_z, log_roughness, beats, previous, after_atrial, log_interval;
} Patients;

static inline double range_of(const double *values, Span part, double low, double high) {
    for (int i = (int)part.from; i < part.to; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    return high - low;
}

static inline double mean_of(const double *values, Span part) {
    double sum = 0;
    for (int i = (int)part.from; i < part.to; i++) sum += values[i];
    return sum / (part.to - part.from);
}

/* The means of so many values, from each on. */
WIDE static inline void means_of(const double *values, int size, int count, double *restrict means) {
    for (int i = 0; i < count; i++) means[i] = 0;
    for (int k = 0; k < size; k++)
        for (int i = 0; i < count; i++) means[i] += values[i + k];
    for (int i = 0; i < count; i++) means[i] /= size;
}

/* Of an even number of values. */
static inline double median_of(const double *values, Span part) {
    double ordered[MAX_LEVELS];
    int count = 0;
    for (int i = (int)part.from; i < part.to; i++) {
        int at = count++;
        for (; at && ordered[at - 1] > values[i]; at--) ordered[at] = ordered[at - 1];
        ordered[at] = values[i];
    }
    return (ordered[count / 2 - 1] + ordered[count / 2]) / 2;
}

/* `artefact._deflection`. */
static inline void deflection(const Look *look, const double *c, double before, double after, double *found) {
    int size = (int)(look->deflection.to - look->deflection.from), peak = (int)look->inner.from;
    double d[LOOKED_AT], over = 0, under = 0;
    for (int i = 0; i < size; i++)
        d[i] = c[(int)look->deflection.from + i] - (before + (after - before) / size * i);
    for (int i = peak; i < look->inner.to; i++)
        if (fabs(d[i]) > fabs(d[peak])) peak = i;
    double up = d[peak] > 0 ? 1 : -1, top = d[peak] * up + look->no_mv;
    const double shares[] = {look->width, look->narrow_width};
    for (int k = 0; k < 2; k++) {
        int first = peak - 1, last = peak + 1;
        while (first >= 0 && d[first] * up >= shares[k] * top) first--;
        while (last < size && d[last] * up >= shares[k] * top) last++;
        found[1 + k] = log(last - first);
    }
    for (int i = (int)look->core.from; i < look->core.to; i++) {
        if (d[i] * up > 0)
            over += d[i] * up;
        else
            under -= d[i] * up;
    }
    found[0] = up;
    found[3] = (over - under) / (over + under + look->no_mv);
}

/* `artefact.look`: means, height, log roughness, and the last inputs. */
static inline void look_at(const Look *look, const float *around, double *c, double *height, double *rough,
                           double *seen) {
    double slope[LOOKED_AT - 1], square[LOOKED_AT - 2], slow[LOOKED_AT], wave[LOOKED_AT];
    for (int i = 0; i < LOOKED_AT; i++) {
        const double third = 1.0 / 3;
        c[i] = around[3 * i] * third + around[3 * i + 1] * third + around[3 * i + 2] * third;
    }
    *height = range_of(c, look->height, INFINITY, -INFINITY) + look->floor_mv;
    double log_height = log(*height);
    double before = median_of(c, look->before), after = median_of(c, look->after), later = median_of(c, look->later);
    for (int i = 0; i < LOOKED_AT - 1; i++) slope[i] = c[i + 1] - c[i];
    for (int i = 0; i < LOOKED_AT - 2; i++) {
        double curve = slope[i + 1] - slope[i];
        square[i] = curve * curve;
    }
    *rough = log(sqrt(mean_of(square, look->curves)) + look->still_mv);
    const Span rest = {look->quiet_after.from, LOOKED_AT - 2};
    double quiet = (mean_of(square, look->quiet_before) + mean_of(square, rest)) / 2, rise = 0, fall = 0;
    for (int i = (int)look->slopes.from; i < look->slopes.to; i++) {
        rise = slope[i] > rise ? slope[i] : rise;
        fall = -slope[i] > fall ? -slope[i] : fall;
    }
    double low = INFINITY, high = -INFINITY, within = look->flat_top * *height;
    int at_top = 0, at_bottom = 0, waves = (int)(look->wave.to - look->wave.from);
    for (int i = (int)look->top.from; i < look->top.to; i++) {
        low = c[i] < low ? c[i] : low;
        high = c[i] > high ? c[i] : high;
    }
    for (int i = (int)look->top.from; i < look->top.to; i++) {
        at_top += c[i] > high - within;
        at_bottom += c[i] < low + within;
    }
    const double *t_wave = c + (int)look->wave.from;
    for (int i = 0; i < waves; i++)
        wave[i] = t_wave[i] - (t_wave[0] + (t_wave[waves - 1] - t_wave[0]) / (waves - 1) * i);
    int quarter = (int)look->quarter, smooth = LOOKED_AT - quarter + 1;
    means_of(c, quarter, smooth, slow);
    double around_low = INFINITY, around_high = -INFINITY;
    for (int i = 0; i < LOOKED_AT; i++) {
        if (i >= look->quiet_before.to && i < look->quiet_after.from) continue;
        around_low = c[i] < around_low ? c[i] : around_low;
        around_high = c[i] > around_high ? c[i] : around_high;
    }
    const Span all_waves = {0, waves}, all_slow = {0, smooth};
    *seen++ = log_height;
    *seen++ = log(around_high - around_low + look->floor_mv) - log_height;
    *seen++ = clipped((before - after) / *height, -look->max_level, look->max_level);
    *seen++ = fmin(fabs(before - after) / *height, look->max_level);
    *seen++ = fmin(fabs(before - later) / *height, look->max_level);
    deflection(look, c, before, after, seen);
    seen += 4;
    *seen++ = log((rise > fall ? rise : fall) + look->still_mv) - log_height;
    *seen++ = clipped(log((rise + look->still_mv) / (fall + look->still_mv)), -look->max_slopes, look->max_slopes);
    *seen++ = log(at_top > at_bottom ? at_top : at_bottom);
    *seen++ = log(range_of(wave, all_waves, INFINITY, -INFINITY) + look->still_mv) - log_height;
    *seen++ = *rough - log_height;
    *seen++ = log(sqrt(quiet) + look->still_mv) - *rough;
    *seen++ = log(range_of(slow, all_slow, INFINITY, -INFINITY) + look->still_mv) - log_height;
}

/* At each of so many places, sums of the products with the usual complex, of levels and of their squares. */
WIDE static inline void sums_at(const double *c, double level, int count, const double *usual, int size,
                                double *restrict products, double *restrict sums, double *restrict squares) {
    for (int j = 0; j < count; j++) products[j] = sums[j] = squares[j] = 0;
    for (int k = 0; k < size; k++)
        for (int j = 0; j < count; j++) {
            double off = c[j + k] - level;
            products[j] += c[j + k] * usual[k];
            sums[j] += off;
            squares[j] += off * off;
        }
}

/* Where the usual complex is seen best in a part, as far as it is as high; and how alike it is there. */
static inline int seen_best(const double *c, const double *usual, int size, double power, const Look *look, Span part,
                            double *alike, double *height, double *seen) {
    int best = -1, from = (int)part.from, count = (int)part.to - from;
    double products[LOOKED_AT], sums[LOOKED_AT], squares[LOOKED_AT];
    sums_at(c + from, c[(int)look->r], count, usual, size, products, sums, squares);
    *seen = -INFINITY;
    for (int j = 0; j < count; j++) {
        double energy = fmax(squares[j] - sums[j] * sums[j] / size, 0);
        double like = products[j] / sqrt(energy * power + look->flat_energy);
        double shown = like * clipped(products[j] / power, 0, 1);
        if (shown > *seen) {
            *seen = shown;
            best = from + j;
            *height = products[j] / power;
        }
        alike[from + j] = like;
    }
    return best;
}

/* Log-odds that a beat is artefact: `artefact.describe` and the network. */
static inline double artefact_log_odds(const Look *look, const double *network, int units, const float *around,
                                       const double *classes, int label, const Patients *known, double sample) {
    double c[LOOKED_AT], inputs[ARTEFACT_INPUTS] = {0}, height, rough, alike[LOOKED_AT], to_next = NAN;
    double n = floored(classes[N], look->floor), s = floored(classes[S], look->floor);
    double *to = inputs;
    look_at(look, around, c, &height, &rough, inputs + 17);
    *to++ = label == S;
    *to++ = log(floored(classes[V], look->floor) / (n + s));
    *to++ = log(s / n);
    *to++ = known->after_atrial;
    if (known->usual) {
        double usual[MAX_LEVELS], power = look->flat_power, low = INFINITY, high = -INFINITY, next_height = 0,
               other, most;
        for (int k = 0; k < known->size; k++) {
            usual[k] = known->usual[k];
            power += usual[k] * usual[k];
            low = usual[k] < low ? usual[k] : low;
            high = usual[k] > high ? usual[k] : high;
        }
        double trust = fmin(known->beats / look->known_beats, 1), likest = -INFINITY;
        seen_best(c, usual, known->size, power, look, look->here, alike, &other, &most);
        for (int j = (int)look->here.from; j < look->here.to; j++) likest = alike[j] > likest ? alike[j] : likest;
        double z = atanh(clipped(likest, look->min_alike, look->max_alike)), before;
        seen_best(c, usual, known->size, power, look, look->earlier, alike, &other, &before);
        int place = seen_best(c, usual, known->size, power, look, look->next, alike, &next_height, &most);
        *to++ = trust;
        *to++ = trust * log(height / (high - low + look->floor_mv));
        *to++ = trust * z;
        *to++ = trust * (known->correlation_z - z);
        *to++ = trust * (rough - known->log_roughness);
        *to++ = trust * before;
        *to++ = trust * alike[place];
        *to++ = trust * clipped(next_height, -1, look->max_height);
        if (alike[place] > look->visible) to_next = (place + look->template_before - look->r) * STEP / look->fs;
    }
    double rr = exp(known->log_interval), since = NAN; /* NaN stays NaN */
    if (!isnan(known->previous))
        since = (sample - known->previous > 1 ? sample - known->previous : 1) / look->fs;
    double spans = (since + to_next) / rr;
    to = inputs + 12;
    *to++ = !isnan(since) && !isnan(rr);
    *to++ = isnan(since / rr) ? 0 : clipped(log(since / rr), -look->max_late, look->max_late);
    *to++ = isnan(to_next / rr) ? 0 : clipped(log(to_next / rr), -look->max_late, look->max_late);
    *to++ = isnan(spans) ? look->off : fmin(fabs(spans - 1), look->off);
    *to++ = isnan(spans) ? look->off : fmin(fabs(spans - 2), look->off);
    const double *mean = network, *scale = mean + ARTEFACT_INPUTS, *hidden = scale + ARTEFACT_INPUTS;
    const double *weights = hidden + (ARTEFACT_INPUTS + 1) * units;
    double sums[MAX_HIDDEN], result = weights[units];
    memcpy(sums, hidden + ARTEFACT_INPUTS * units, units * sizeof *sums);
    for (int i = 0; i < ARTEFACT_INPUTS; i++) {
        double value = clipped((inputs[i] - mean[i]) / scale[i], -look->largest, look->largest);
        for (int k = 0; k < units; k++) sums[k] += value * hidden[i * units + k];
    }
    for (int k = 0; k < units; k++) result += tanh(sums[k]) * weights[k];
    return result;
}

/* True if sizes and places fit. */
static inline int look_fits(const Look *look, Py_ssize_t numbers, Py_ssize_t weights, int *units) {
    *units = (int)((weights - 2 * ARTEFACT_INPUTS - 1) / (ARTEFACT_INPUTS + 2));
    if (numbers != sizeof *look / sizeof(double) || *units < 1 || *units > MAX_HIDDEN ||
        weights != 2 * ARTEFACT_INPUTS + 1 + (Py_ssize_t)*units * (ARTEFACT_INPUTS + 2))
        return 0;
    const Span *spans = &look->height;
    int count = (int)(&look->next - spans) + 1, inside = look->deflection.to - look->deflection.from;
    for (int i = 0; i < count; i++) {
        int most = spans + i == &look->inner || spans + i == &look->core ? inside : LOOKED_AT;
        if (!(spans[i].from >= 0 && spans[i].from < spans[i].to && spans[i].to <= most)) return 0;
    }
    return look->last - look->first == 3 * LOOKED_AT && look->r >= 0 && look->r < LOOKED_AT && look->quarter >= 1 &&
           look->quarter <= LOOKED_AT && look->curves.to <= LOOKED_AT - 2 && look->quiet_before.to <= LOOKED_AT - 2 &&
           look->slopes.to <= LOOKED_AT - 1 && look->before.to - look->before.from <= MAX_LEVELS &&
           look->after.to - look->after.from <= MAX_LEVELS && look->later.to - look->later.from <= MAX_LEVELS;
}

/* True if a usual complex of this size can be sought in all places. */
static inline int usual_fits(const Look *look, Py_ssize_t size) {
    return size > 0 && size <= MAX_LEVELS && look->here.to - 1 + size <= LOOKED_AT &&
           look->earlier.to - 1 + size <= LOOKED_AT && look->next.to - 1 + size <= LOOKED_AT;
}
