// The bearer token, asked for when the server wants one and forgotten with the tab.

import { $, input, put } from "./dom.js";

/** Ask for the token; a stored one was not accepted. */
export function askToken() {
  if (sessionStorage.getItem("token")) put("login-message", "The server did not accept this token.");
  sessionStorage.removeItem("token");
  $("login").hidden = false;
  $("token").focus();
}

/** @param {() => void} entered a token is stored */
export function onToken(entered) {
  $("login").addEventListener("submit", (submit) => {
    submit.preventDefault();
    const token = input("token").value.trim();
    input("token").value = "";
    const sendable = !/[^\x21-\x7e]/.test(token); // which no header can carry
    put("login-message", sendable ? ""
      : "A token has letters, digits and signs of ASCII only; expected the server's EKG_TOKEN.");
    if (!sendable) return;
    sessionStorage.setItem("token", token);
    entered();
  });
}
