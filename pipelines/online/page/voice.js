// Speaking a prompt, where the browser offers it; elsewhere the button stays hidden.

/** `said(text)` gets each phrase, `failed(message)` what went wrong. */
export function start(button, said, failed) {
  const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
  if (!Recognition) return;
  let listening = null;
  const show = () => {
    button.setAttribute("aria-pressed", String(listening !== null));
    button.textContent = listening ? "Listening …" : "Speak";
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    if (listening) return listening.stop();
    listening = new Recognition();
    listening.lang = navigator.language;
    listening.onresult = (event) => said(event.results[event.results.length - 1][0].transcript.trim());
    listening.onerror = ({ error }) => {
      const denied = ["not-allowed", "service-not-allowed"].includes(error);
      if (error !== "aborted" && error !== "no-speech") {
        failed(denied ? "The browser may not use the microphone here." : `Speech was not understood (${error}).`);
      }
    };
    listening.onend = () => {
      listening = null;
      show();
    };
    try {
      listening.start();
    } catch (error) {
      listening = null;
      failed(error.message);
    }
    show();
  });
}
