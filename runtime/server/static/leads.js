// Which column of a serial device is the ECG, and whether numbers without a unit can be one in mV. The
// rules are those of runtime/records/leads.py, units.py and shape.py; files are read by the server.

const ECG_WORD = /^(?:e[ck]g[a-z]*\d*|ekg\w*|ele(?:[ck]|t)tro[ck]ardiogra\w*)$/;
const OTHER_WORD = new RegExp("^(?:eeg\\d*|[hvlr]?eog\\d*|emg\\d*|roc|loc|chin\\d*|legs?|lat|rat|plm\\w*|tib\\w*|"
  + "rsp|resp\\w*|res|thor\\w*|tho|abdo\\w*|abd|effort|rip|breath\\w*|air|airflow|flow|nasal|therm\\w*|"
  + "snor\\w*|sounds?|mic|microphone|phono\\w*|co2|etco2|imp\\w*|edr|"
  + "[pbsi]cg|iegm|egm|egg|ehg|nirs|ballisto\\w*|seismo\\w*|"
  + "ple[dt]h\\w*|ppg|spo2?|sao2|sp|osat|oxy\\w*|ox|puls\\w*|pr|prv|"
  + "abp|art|bp|nibp|cvp|pap|icp|uap|uvp|mcap|p\\d|pressure|"
  + "hr|rri?|ibi|hrv|heart|rate|bpm|quality|sqi|status|state|leadoff|off|"
  + "acc\\w*|gyro?\\w*|[agm][xyz]|mag\\w*|gravity|imu|baro\\w*|altitude|motion|activity|torque|force|angle|speed|gps|lon|"
  + "temp\\w*|gsr|eda|light|lux|batt?\\w*|rssi|pos\\w*|body|"
  + "marker|marks?|events?|button|trig\\w*|annotations?|label|class|beats?|r?peaks?|onsets?|offsets|phase|"
  + "nseq|seq\\w*|counter|index|idx|packet|crc|hypnogram|stage)$");
const OF_BODY = new Set(["heart", "leg", "legs"]); // beside "ECG" they say where
const ECG_LEAD = new RegExp("^(?:m?l?i{1,3}|d(?:i{1,3}|[123])|m?l[123]|a?v[rlf]|v[1-9]r?|v1[0-2]|v|"
  + "mv[1-6]|cl[1-6]|mcl[1-6]r?|c[ms][1-6]|cc5|cb5|cr[1-6]|nehb[daj]|v[xyz]|es|as|ai|"
  + "(?:la|ll|ra|rl)(?:la|ll|ra|rl)|v[1-6x]?rl|chest\\w*)$");
const SITE = "(?:fp|af|fc|cp|po|ft|tp|[fcpot])(?:z|pz|\\d{1,2})";
const EEG_SITES = new RegExp(`^(?:${SITE}(?:[am][12]|${SITE})?|e[12]m[12])$`);
const FILLERS = new Set("lead leads channel ch ableitung derivation derivacion signal wave mod modified easi raw cal"
  .split(" "));
const GLUED = /lead(?=(?:i{1,3}|[123]|a?v[rlf1-6])(?![\p{L}\p{N}]))/gu; // leadII
const NEAREST = [/^ml\s?ii$/, /^(?:ii|dii|d2|ll ra)$/]; // to MLII, on which the model was trained most
const VOLTAGE = /^(?:(n|nano)|(u|\u03bc|\u00b5|\ufffd|mc|micro)|(m|milli))?-?v(?:olts?)?$/;
// Several of a unit, or a converter's step: 0.1 mV, 5 uV/LSB.
const STEP = /^(\d+(?:\.\d*)?|\.\d+)[x*·×]?([^\d\s/]+?)(?:(?:\/|per)(?:lsb|bit|counts?|digit|adu))?$/;
const POWER = /^(?:[x*·×]?1?e|[x*·×]?10(?:\^|\*\*))\(?([+-]?\d{1,2})\)?[*·×]?([^\d\s].*)$/;
// Units of other quantities, and what speaks of volts but is no unit that is known.
const OTHER_UNIT = new RegExp("^(?:adu|adc|counts?|lsb|raw|bits?|digits?|digital|int|integer|au|a\\.u\\.|nu|unitless|"
  + "dimensionless|normali[sz]ed|norm|scaled|z-?score|db|arb\\.|arbitrary|%|g|m/s2|mg|mmhg|cmh2o|kpa|pa|bpm|ohm|kohm|"
  + "c|°c|hz)(?: (?:units?|counts?|values?))?$");
const VOLTS_IN = /(?<![\p{L}])(?:[pnumcdkµμ]v|\p{L}*volts?)(?![\p{L}])/iu;
const AROUND = /^(?:units?|einheit|in)\b[\s:=]*|(?<=v)\.$|\s*\*$|[\s_-]+(?:pk|peak|pp|p-p|pk-pk|peak-to-peak)$/gi;
const GAIN = /^(\d+(?:\.\d*)?)\s*\/\s*(\S+)$/;

const WINDOW_S = 2; // holds a beat of any heart above 30 a minute
const MAX_WINDOWS = 1800;
const LARGEST_ECG_MV = 20;
const SMALLEST_ECG_MV = 0.05;
const SLOPE_S = 0.02; // a QRS complex rises or falls in this time
const SHARP = 6; // ECG has 8 and more; noise about 3, pulse and breath 2 to 5
const MIN_LEVELS = 8;

/**
 * How many mV a unit is; null if it is no voltage.
 * @param {string} unit
 * @returns {number|null}
 */
export function millivolts(unit) {
  const bare = unit.trim().replace(AROUND, "");
  const gain = GAIN.exec(bare);
  if (gain) {
    const whole = millivolts(gain[2]);
    return whole === null || !Number(gain[1]) ? null : whole / Number(gain[1]);
  }
  const folded = bare.toLowerCase().replaceAll(" ", "");
  const power = POWER.exec(folded);
  if (power) {
    const whole = ofVolts(power[2]);
    return whole === null ? null : Number(`${whole}e${Number(power[1])}`);
  }
  const step = STEP.exec(folded);
  if (step) {
    const whole = ofVolts(step[2]);
    return whole === null || !Number(step[1]) ? null : Number(step[1]) * whole;
  }
  return ofVolts(folded);
}

/** @param {string} folded without blanks, in small letters @returns {number|null} mV */
function ofVolts(folded) {
  const match = VOLTAGE.exec(folded);
  if (!match) return null;
  return match[1] ? 1e-6 : match[2] ? 1e-3 : match[3] ? 1 : 1000;
}

/**
 * A column's name and the unit behind it: `ECG (uV)`, `ecg_uV`. Brackets that speak of volts hold a unit,
 * known or not, as those of another quantity do.
 * @param {string} name
 * @returns {{name: string, unit: string}} the unit may be empty
 */
export function splitUnit(name) {
  const inside = /^(.+?)[\s_]*[([{<（【]\s*(.*?)\s*[)\]}>）】]\s*\*?$/.exec(name);
  if (inside) {
    const unit = inside[2];
    if (millivolts(unit) !== null || OTHER_UNIT.test(unit.trim().toLowerCase()) || VOLTS_IN.test(unit)) {
      return { name: inside[1], unit };
    }
  }
  const behind = /^(.+?)(?:[\s_/,;:|.-]|\bin\b)+([^\s_/,;:|.-]+)$/.exec(name)
    ?? /^(e[ck]g\w*?|.*[A-Z\d])([numµμ]V)$/.exec(name) ?? /^(e[ck]g\d*)([umµμ]v)$/.exec(name);
  // A single letter may be the lead's own: monitors have a lead "ECG V".
  if (behind && behind[2].length > 1 && millivolts(behind[2]) !== null) return { name: behind[1], unit: behind[2] };
  return { name, unit: name.length > 1 && millivolts(name) !== null ? name : "" };
}

/**
 * True if a lead's name is one of an ECG, false if of anything else, null if open.
 * @param {string} name
 */
export function isEcg(name) {
  const parts = name.split(/[^\p{L}\p{N}]+/u);
  const words = parts.flatMap((part) =>
    [part, ...(part.match(/[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+/g) ?? [])])
    .map((word) => word.toLowerCase());
  const bare = wordsOf(name).join("");
  const ecg = words.some((word) => ECG_WORD.test(word));
  if ([...words, bare].some((word) => OTHER_WORD.test(word) && !(ecg && OF_BODY.has(word)))) return false;
  if (ecg) return true;
  if (EEG_SITES.test(bare) && !/^c[1-6]$/.test(bare)) return false;
  return ECG_LEAD.test(bare) || (/lead|ableitung/i.test(name) && "123".includes(bare)) || null;
}

/**
 * The name that is an ECG's, the one nearest to MLII if several are.
 * @param {string[]} names
 * @returns {number} its index; -1 if none is
 */
export function chooseByName(names) {
  const named = names.map((_, i) => i).filter((i) => isEcg(names[i]));
  const ranks = named.map((i) => rank(names[i]));
  return named.length ? named[ranks.indexOf(Math.min(...ranks))] : -1;
}

/**
 * What numbers without a unit likely are, if they cannot be an ECG in mV; else null.
 * @param {Float32Array|Float64Array} values
 * @param {number} fs
 */
export function doubt(values, fs) {
  const present = values.filter(Number.isFinite);
  const size = usualRange(present, fs);
  if (size > LARGEST_ECG_MV) {
    const whole = present.every(Number.isInteger);
    const offset = Math.abs(quantile(present, 0.5)) > 2 * size || present.every((v) => v >= 0);
    const small = size / 1000 < SMALLEST_ECG_MV;
    return (whole && (offset || small)) || size / 1000 > LARGEST_ECG_MV
      ? "counts of a converter" : "uV";
  }
  return size > 0 && size < SMALLEST_ECG_MV && sharpness(present, fs) >= SHARP ? "V" : null;
}

/**
 * Largest less smallest value in two seconds, the median of those that are not flat.
 * @param {Float32Array|Float64Array} present
 * @param {number} fs
 */
export function usualRange(present, fs) {
  const ranges = windows(present, fs)
    .map((window) => quantile(window, 0.99) - quantile(window, 0.01)).filter((range) => range > 0);
  return ranges.length ? quantile(Float64Array.from(ranges), 0.5) : 0;
}

/**
 * Steepest slope of two seconds over a usual one: a measure of QRS complexes.
 * @param {Float32Array|Float64Array} values
 * @param {number} fs
 */
function sharpness(values, fs) {
  const present = values.filter(Number.isFinite);
  const levels = new Set(present.subarray(0, Math.round(60 * fs)));
  if (levels.size < MIN_LEVELS || isCount(present)) return 0;
  const lag = Math.max(1, Math.round(SLOPE_S * fs));
  const slopes = windows(present, fs).map((window) => {
    const taken = window.filter((_, i) => i % lag === 0);
    return Float64Array.from(taken.subarray(1), (value, i) => Math.abs(value - taken[i]));
  });
  if (!slopes.length || !slopes[0].length) return 0;
  const least = slopes.reduce((low, window) =>
    window.reduce((one, step) => (step > 0 && step < one ? step : one), low), Infinity);
  const usual = (/** @type {Float64Array} */ window) => Math.max(quantile(window, 0.75), least === Infinity ? 1 : least);
  const clear = slopes.map((window) => window.reduce((a, b) => Math.max(a, b)) / usual(window));
  return quantile(Float64Array.from(clear), 0.5);
}

/**
 * True if most steps are the same and not 0: a clock, or a count that starts anew.
 * @param {Float32Array|Float64Array} present
 */
function isCount(present) {
  const some = present.subarray(0, 1 << 16);
  const steps = some.subarray(1).map((value, i) => value - some[i]);
  if (!steps.length) return false;
  const usual = quantile(steps, 0.5);
  const same = steps.filter((step) => Math.abs(step - usual) < 1e-6 * Math.abs(usual)).length;
  return usual !== 0 && same > steps.length / 2;
}

/** @param {string} name @returns {string[]} its words in small letters, but "lead" and the like */
const wordsOf = (name) => name.toLowerCase().replace(GLUED, " ").split(/[^\p{L}\p{N}]+/u)
  .filter((word) => word && !FILLERS.has(word));

/** @param {string} name */
function rank(name) {
  const words = wordsOf(name).filter((word) => !ECG_WORD.test(word));
  const place = NEAREST.findIndex((form) => form.test(words.join(" ")));
  return place < 0 ? NEAREST.length : place;
}

/**
 * Pieces of two seconds; what is shorter than one is one.
 * @param {Float32Array|Float64Array} present
 * @param {number} fs
 */
function windows(present, fs) {
  const size = Math.min(present.length, Math.max(2, Math.round(WINDOW_S * fs)));
  const count = size ? Math.min(Math.floor(present.length / size), MAX_WINDOWS) : 0;
  return Array.from({ length: count }, (_, i) => present.subarray(i * size, (i + 1) * size));
}

/**
 * As numpy's, between two values in proportion.
 * @param {Float32Array|Float64Array} values
 * @param {number} share
 */
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}
